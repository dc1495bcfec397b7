"""The accuracy of published recipes on these images."""

import pandas as pd

from digits.report.gather import Content
from digits.report.layout import Section, Table

# columns of reports/recipes.csv that are shown, and the styles of those with numbers
_SHOWN = ("id", "recipe", "figure", "published", "measured", "sd", "count", "difference", "within", "why", "minutes")
_STYLES = {"published": ".4f", "measured": ".4f", "sd": ".4f", "count": "d", "difference": "+.4f", "minutes": ".1f"}


def section(content: Content) -> Section:
    """A table of published and measured figures, and the pictures of `make recipes`."""
    result = Section("recipes", "Are published results reproduced here?")
    if content.recipes is None:
        result.missing = "No recipe (a published configuration) was fitted yet; type make recipes."
        return result
    table = content.recipes
    judged = table[table["published"].notna()]
    met = int((judged["within"] == "yes").sum())
    result.sentences.append(f"{met} of {len(judged)} published figures were reproduced within their tolerance.")
    columns = {
        name: (_STYLES.get(name, ""), [None if pd.isna(cell) else cell for cell in table[name]]) for name in _SHOWN
    }
    result.tables.append(Table("Recipes: published configurations, fitted here", columns))
    for name, picture in content.recipe_pictures.items():
        if name != "race":  # shown in the section on training
            result.add_picture(picture)
    return result
