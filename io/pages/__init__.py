"""What every page in the browser shares: the server with its limits, and the code that draws outlines."""
