"""What published recipes give on these images."""

import pandas as pd

from digits.report.gather import Content
from digits.report.layout import Section, Table

# columns of reports/recipes.csv that are shown, and their styles
_COLUMNS = {
    "id": "",
    "recipe": "",
    "figure": "",
    "published": ".4f",
    "measured": ".4f",
    "sd": ".4f",
    "count": "d",
    "difference": "+.4f",
    "within": "",
    "why": "",
    "minutes": ".1f",
}


def section(content: Content) -> Section:
    """A table of published and measured figures, and pictures of what they show."""
    result = Section("recipes", "What do published recipes give here?")
    if content.recipes is None:
        result.missing = "No recipe was fitted; type make recipes."
        return result
    table = content.recipes
    judged = table[table["published"].notna()]
    met = int((judged["within"] == "yes").sum())
    result.sentences.append(f"{met} of {len(judged)} published figures are met within their tolerance.")
    rows = [
        tuple(None if pd.isna(cell) else cell for cell in row) for row in table[list(_COLUMNS)].itertuples(index=False)
    ]
    result.tables.append(Table("Recipes", _COLUMNS, rows))
    for name, picture in content.recipe_pictures.items():
        if name != "race":  # stands in the section about training
            result.add_picture(picture)
    return result
