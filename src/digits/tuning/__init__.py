"""The search for better parameters: what is drawn, how it is judged and confirmed. Alone in knowing Optuna."""
