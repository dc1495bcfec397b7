"""Work on Kaggle's machines: what is sent there, what happens there, and what is made of the result."""
