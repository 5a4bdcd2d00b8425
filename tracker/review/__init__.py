"""`track review`: a finished run looked at and corrected in the browser."""
