"""How the networks were trained: their settings and learning curves."""

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from digits.common.plots import COLOURS
from digits.report.chart import GREY, as_chart, plain_log, subplots
from digits.report.gather import Content, Run
from digits.report.layout import Figure, Section

_SHOWN = 3  # runs


def section(content: Content) -> Section:
    """The best networks' settings and learning curves, and the comparison of optimizers from the recipes."""
    result = Section("training", "How did training go?")
    trained = [run for run in content.runs if run.histories]
    if not trained:
        result.missing = "No network was trained yet; type make train."
    for number, run in enumerate(trained[:_SHOWN]):
        model = run.spec.model
        result.sentences.append(
            f"{run.name}: optimizer {model['optimizer']['name']}, learning rate {model['learning_rate']:g}, batch size "
            f"{model['batch_size']}, {model['epochs']} epochs, precision {model['precision']}."
        )
        if len(run.histories[0]) > 1:
            result.add_chart(learning_curves(run, f"learning{number}"))
    if any(map(_trains_on_harder_images, trained[:_SHOWN])):
        result.sentences.append(
            "Augmentation (random distortion) or label smoothing makes training images harder, so their loss is above "
            "that of validation images."
        )
    if race := content.recipe_pictures.get("race"):
        result.add_picture(race)
    return result


def _trains_on_harder_images(run: Run) -> bool:
    """Whether label smoothing or augmentation raises the training loss above the validation loss."""
    return bool(run.spec.model["label_smoothing"]) or any(run.spec.model["augment"].values())


def learning_curves(run: Run, name: str) -> Figure:
    """Loss and share of errors of each fold by epoch; name: see `as_chart`."""
    folds, last = len(run.histories), run.histories[0][-1]
    valid = f", {last['valid_accuracy']:.4f} on validation images" if "valid_accuracy" in last else ""
    title = f"{run.name}: final accuracy {last['accuracy']:.4f} on training images{valid}"
    with subplots(7, 4.8, rows=2) as (figure, axes):
        losses, errors = axes[:, 0]
        for fold, history in enumerate(run.histories):
            colour = COLOURS[fold % len(COLOURS)]
            for prefix, style in (("", "-"), ("valid_", "o:")):
                _curve(losses, history, f"{prefix}loss", style, colour)
                _curve(errors, _with_errors(history), f"{prefix}errors", style, colour)
        for label, style in (("training", "-"), ("validation", "o:")):
            losses.plot([], [], style, color=GREY, label=label)
        if folds > 1:
            for fold in range(folds):
                losses.plot([], [], "-", color=COLOURS[fold % len(COLOURS)], label=f"fold {fold + 1}")
        losses.set(yscale="log", ylabel="loss, nats")
        errors.set(yscale="log", ylabel="share of errors", xlabel="epoch")
        for part in (losses, errors):
            plain_log(part.yaxis)
        figure.legend(loc="outside upper center", ncols=4)
        for part in axes.flat:
            part.grid(visible=True)
            part.xaxis.set_major_locator(MaxNLocator(integer=True))
        return as_chart(figure, name, title, f"{title}; first fold of {folds}")


def _with_errors(history: list[dict[str, float]]) -> list[dict[str, float]]:
    """With shares of errors instead of accuracies; none where there are none, which a logarithmic axis cannot show."""
    return [
        {
            name.replace("accuracy", "errors"): 1 - value
            for name, value in record.items()
            if "accuracy" in name and value < 1
        }
        for record in history
    ]


def _curve(axes: Axes, history: list[dict[str, float]], name: str, style: str, colour: str) -> None:
    points = [(epoch, record[name]) for epoch, record in enumerate(history, 1) if name in record]
    if points:
        axes.plot(*zip(*points, strict=True), style, color=colour, markersize=3, linewidth=1.2)
