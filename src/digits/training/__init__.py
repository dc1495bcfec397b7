"""Training within a budget of minutes: the device, the plan and the order of the fits, and the folders of runs."""
