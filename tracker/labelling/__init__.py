"""`track label`: frames that teach most, the model's outlines as a start, and what people made of them."""
