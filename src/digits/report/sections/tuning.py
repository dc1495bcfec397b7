"""What the latest search for better hyperparameters found."""

from digits.report.explore import in_words
from digits.report.gather import Content
from digits.report.layout import Section


def section(content: Content) -> Section:
    """The values that replace the defaults, and the search's pictures."""
    result = Section("tuning", "What did tuning find?")
    if content.search is None:
        result.missing = "No search for hyperparameters is finished; type make tune."
        return result
    model, best = content.search.model, content.search.best
    subject = "network" if model == "train" else model
    what = f"one, with these values in place of `{model}`'s:" if best else "none above noise."
    result.sentences.append(f"The search for a {subject} that is more accurate in the same time found {what}")
    params = content.params
    default = (params.train if model == "train" else params.baseline.models[model]).model_dump(mode="json")
    result.sentences += [
        f"{name.replace('_', ' ')}: {in_words(value)} instead of {in_words(default.get(name)) or 'none'}"
        for name, value in best.items()
    ]
    for picture in content.search.pictures.values():
        result.add_picture(picture)
    return result
