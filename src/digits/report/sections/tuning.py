"""What the latest search for better hyperparameters found."""

from digits.report.gather import Content
from digits.report.layout import Section


def section(content: Content) -> Section:
    """The values that replace the defaults, and the search's pictures."""
    result = Section("tuning", "What did tuning find?")
    if content.search is None:
        result.missing = "No search for hyperparameters is finished; type make tune."
        return result
    model, best = content.search.model, content.search.best
    what = "values that replace the defaults:" if best else "none that are significantly better. The defaults stay."
    subject = "the network" if model == "train" else model
    result.sentences.append(f"The search for better hyperparameters of {subject} found {what}")
    params = content.params
    default = (params.train if model == "train" else params.baseline.models[model]).model_dump(mode="json")
    result.sentences += [
        f"{name.replace('_', ' ')}: {value} instead of {default.get(name)}" for name, value in best.items()
    ]
    for picture in content.search.pictures.values():
        result.add_picture(picture)
    return result
