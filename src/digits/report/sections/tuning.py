"""What the newest search for better hyperparameters found."""

from digits.report.gather import Content
from digits.report.layout import Section


def section(content: Content) -> Section:
    """What replaces the defaults, and the search's pictures."""
    result = Section("tuning", "What did tuning find?")
    if content.search is None:
        result.missing = "No search is finished; type make tune."
        return result
    model, best = content.search.model, content.search.best
    result.sentences.append(
        f"The search for {model} found parameters that replace the defaults:"
        if best
        else f"The search for {model} found nothing that is surely better than the default, which stays."
    )
    params = content.params
    default = (params.train if model == "train" else params.baseline.models[model]).model_dump(mode="json")
    result.sentences += [
        f"{name.replace('_', ' ')}: {value} instead of {default.get(name)}" for name, value in best.items()
    ]
    for picture in content.search.pictures.values():
        result.add_picture(picture)
    return result
