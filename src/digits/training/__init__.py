"""Which fits a budget of minutes is spent on, on which device, in which order, and the folders of finished runs."""
