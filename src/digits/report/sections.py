"""The sections of the page, in the order of the questions that they answer."""

import platform
from importlib.metadata import version

import numpy as np
import pandas as pd

from digits.common.host import processor
from digits.evaluation.reliability import reliability
from digits.kaggle.ledger import verdict
from digits.report import charts
from digits.report.galleries import embedded, examples, worst_errors
from digits.report.gather import Content, Run, near_best
from digits.report.layout import Section, Table

_LIBRARIES = ("tensorflow", "keras", "scikit-learn", "numpy", "pandas", "optuna", "kaggle")


def sections(content: Content, commit: str) -> list[Section]:
    """All of them; commit: of the project."""
    makers = (_where, _tried, _training, _wrong, _tuning, _ensemble, _study, _data)
    return [*(make(content) for make in makers), _environment(content, commit)]


def _where(content: Content) -> Section:
    section = Section("where", "Where am I?")
    blend, lines = content.blend, content.submissions
    if content.runs:
        best = content.runs[0]
        cv, folds = best.metrics["cv_accuracy"], best.metrics["folds"]
        section.sentences.append(f"The best run, {best.name}, has a CV accuracy of {cv:.4f} ({_folds(folds)}).")
    if blend:
        section.sentences.append(
            f"The newest blend has {blend.cv} out of fold and is expected to score {blend.expected} (95 %)."
        )
    scored = [line for line in lines if line["state"] == "scored"]
    if scored:
        first = max(scored, key=lambda line: float(line["public_score"]))
        section.sentences.append(f"The best public score is {first['public_score']}, {first['file']}.")
    section.sentences.append(f"What to do next: {next_step(content)}")
    section.draw(charts.standing([line for line in lines if line["ref"]] or lines, blend))
    if lines:
        rows = [
            (
                line["time"][:16].replace("T", " "),
                line["file"],
                float(line["expected"]),
                line["public_score"],
                verdict(line).removeprefix("; ") or line["state"],
            )
            for line in lines
        ]
        columns = ("UTC", "file", "expected", "public score", "state")
        section.tables.append(Table("Submissions", columns, ("", "", ".4f", "", ""), tuple(rows)))
    return section


def _folds(count: int) -> str:
    return "1 fold" if count == 1 else f"{count} folds"


def next_step(content: Content) -> str:
    """One sentence that follows from what there is: the first that applies."""
    slug, lines = content.params.competition.slug, content.submissions
    practice = content.data is None or content.data.practice
    steps = [
        (practice, f"type make submit DATA=path/to/{slug}.zip, with the competition's files"),
        (not content.runs, "type make submit: it fits networks for five minutes and blends them"),
        (content.blend is None, "type make submit: there are runs, but no blend of them yet"),
        (
            any(line["state"] in ("uploading", "uploaded") for line in lines),
            "type make score: a submission waits for its score",
        ),
        (
            content.params.submit.upload and not any(line["ref"] for line in lines),
            "save a Kaggle token, if there is none yet, then type make submit: nothing was uploaded yet",
        ),
        (
            all(run.spec.model["kind"] == "cnn" for run in content.runs),
            "type make baseline, then make submit: models of another kind make other errors",
        ),
    ]
    minutes = max(30.0, 4 * content.budget)
    more = f"type make submit BUDGET={minutes:g}: more time is the surest gain that is left"
    return next((step for applies, step in steps if applies), more)


def _tried(content: Content) -> Section:
    section = Section("tried", "What was tried?")
    if not content.runs or content.data is None:
        section.missing = "No run is finished; type make baseline or make train."
        return section
    near = near_best(content.runs, np.asarray(content.data.labels))
    columns = (
        "model",
        "kind",
        "CV accuracy",
        "95 % from",
        "to",
        "spread",
        "log loss",
        "folds",
        "on all",
        "minutes",
        "MB",
        "near the best",
    )
    styles = ("", "", ".4f", ".4f", ".4f", ".4f", ".4f", "d", "d", ".1f", ".1f", "")
    rows = [
        (
            run.name,
            run.spec.model["kind"],
            *(run.metrics[name] for name in ("cv_accuracy", "cv_low", "cv_high")),
            run.metrics["cv_sd"] if run.metrics["folds"] > 1 else None,  # one fold has no spread
            run.metrics["log_loss"],
            run.metrics["folds"],
            run.wholes,
            run.minutes,
            run.metrics["size_mb"],
            "yes" if run.folder in near else "",
        )
        for run in content.runs
    ]
    best = content.runs[0]
    section.sentences.append(
        f"{best.name} leads with {best.metrics['cv_accuracy']:.4f} out of fold; {len(near)} of {len(rows)} runs are "
        "within one standard error of it."
    )
    section.tables.append(Table("Runs", columns, styles, tuple(rows)))
    section.draw(charts.frontier(content.runs))
    return section


def _training(content: Content) -> Section:
    section = Section("training", "How did training go?")
    drawn = [run for run in content.runs if run.histories]
    if not drawn:
        section.missing = "No network was fitted; type make train."
    for number, run in enumerate(drawn[:3]):
        section.sentences.append(f"{run.name}: {_fit_words(run)}.")
        section.draw(charts.learning(run, f"learning{number}"))
    if any(map(_learns_harder, drawn[:3])):
        section.sentences.append(
            "Images learned from are distorted or their labels smoothed: their loss is above that of images kept aside."
        )
    if race := content.study_pictures.get("race"):
        section.show(race.title, race.title, embedded(race.path.read_bytes()))
    return section


def _learns_harder(run: Run) -> bool:
    """Whether what a network learns from is made harder than what it is judged on."""
    return bool(run.spec.model["label_smoothing"]) or any(run.spec.model["augment"].values())


def _fit_words(run: Run) -> str:
    model = run.spec.model
    steps = f"batches of {model['batch_size']}, {model['epochs']} epochs, {model['precision']}"
    return f"{model['optimizer']['name']} at {model['learning_rate']:g}, {steps}"


def _wrong(content: Content) -> Section:
    section = Section("wrong", "Where is it wrong?")
    if content.blend is None or content.blended is None or content.blend_rows is None or content.data is None:
        section.missing = "There is no blend of the runs as they are now; type make ensemble."
        return section
    names, rows = content.names, content.blend_rows
    labels, oof = np.asarray(content.data.labels, np.int64)[rows], content.blended.oof
    predicted = oof.argmax(axis=1)
    wrong = int((predicted != labels).sum())
    section.sentences.append(f"{wrong:,} of {len(labels):,} images are predicted wrongly out of fold.")
    section.draw(charts.confusion(predicted, labels, names))
    section.draw(charts.per_class(predicted, labels, names))
    if gallery := worst_errors(content.data, rows, oof, names):
        section.show(
            "The surest errors, likely mislabelled images among them: true class → prediction", gallery[1], gallery[0]
        )
    section.draw(charts.calibration(reliability(oof, labels)))
    return section


def _tuning(content: Content) -> Section:
    section = Section("tuning", "What did tuning find?")
    if content.search is None:
        section.missing = "No search was made; type make tune."
        return section
    model, best = content.search.model, content.search.best
    section.sentences.append(
        f"The search for {model} found what takes the default's place:"
        if best
        else f"The search for {model} found nothing that is surely better than the default, which stays."
    )
    params = content.params
    default = (params.train if model == "train" else params.baseline.models[model]).model_dump(mode="json")
    section.sentences += [
        f"{name.replace('_', ' ')}: {value} in place of {default.get(name)}" for name, value in best.items()
    ]
    for picture in content.search.pictures.values():
        section.show(picture.title, picture.title, embedded(picture.path.read_bytes()))
    return section


def _ensemble(content: Content) -> Section:
    section = Section("ensemble", "What does the ensemble do?")
    blend = content.blend
    if blend is None:
        section.missing = "Nothing is blended; type make ensemble."
        return section
    names = {run.folder: run.name for run in content.runs}
    section.sentences.append(
        f"{blend.method}: {blend.cv} out of fold, {blend.holdout} on the holdout; "
        f"averaging adds {blend.expected.gain:+.4f}."
    )
    members = [
        (
            names.get(contribution.member, contribution.member),
            contribution.accuracy,
            contribution.log_loss,
            contribution.weight,
            contribution.gain,
        )
        for contribution in blend.members
    ]
    section.tables.append(
        Table(
            "Members",
            ("member", "CV accuracy alone", "log loss", "weight", "gain"),
            ("", ".4f", ".4f", ".2f", "+.5f"),
            tuple(members),
        )
    )
    methods = [
        (
            method.name,
            method.accuracy,
            method.gap,
            method.log_loss,
            method.loss_gap,
            "yes" if method.name == blend.method else "",
        )
        for method in blend.candidates
    ]
    section.tables.append(
        Table(
            "Ways to combine them",
            ("method", "CV accuracy", "behind the best", "log loss", "behind it, calibrated", "taken"),
            ("", ".5f", ".5f", ".5f", ".5f", ""),
            tuple(methods),
        )
    )
    section.draw(charts.members(blend, names))
    if content.uncertain:
        title = "Test images on which the models differ most, and labelled ones that they get wrong most surely"
        section.show(title, title, embedded(content.uncertain.read_bytes()))
    return section


def _study(content: Content) -> Section:
    section = Section("study", "What do published recipes give here?")
    if content.study is None:
        section.missing = "The study was not run; type make study."
        return section
    board = content.study
    judged = board[board["published"].notna()]
    met = int((judged["within"] == "yes").sum())
    section.sentences.append(f"{met} of {len(judged)} published figures are met within their tolerance.")
    names = ("id", "recipe", "figure", "published", "measured", "sd", "count", "difference", "within", "why", "minutes")
    styles = ("", "", "", ".4f", ".4f", ".4f", "d", "+.4f", "", "", ".1f")
    rows = [
        tuple(None if pd.isna(cell) else cell for cell in line) for line in board[list(names)].itertuples(index=False)
    ]
    section.tables.append(Table("Recipes", names, styles, tuple(rows)))
    for name, picture in content.study_pictures.items():
        if name != "race":  # which stands with the training
            section.show(picture.title, picture.title, embedded(picture.path.read_bytes()))
    return section


def _data(content: Content) -> Section:
    section = Section("data", "What is it made of?")
    if content.data is None:
        section.missing = "No data is prepared; type make data."
        return section
    data = content.data
    section.sentences.append(
        f"{len(data.images):,} labelled and {len(data.test_images):,} test images from {data.about['source']} "
        f"({data.about['provenance']}), hash {data.hash[:16]}; {data.fold_count} folds, "
        f"{len(data.holdout_rows):,} images held out."
    )
    section.sentences += data.about.get("notices", [])
    picture, text = examples(data, content.names)
    section.show("Some images of each class", text, picture)
    section.draw(charts.class_counts(data, content.names))
    return section


def _environment(content: Content, commit: str) -> Section:
    section = Section("environment", "Where was it made?")
    rows = [
        ("Python", platform.python_version()),
        ("system", platform.system()),
        ("processor", processor()),
        ("commit", commit or "unknown"),
        ("seed", str(content.params.train.seed)),
        *((name, version(name)) for name in _LIBRARIES),
    ]
    section.tables.append(Table("Versions", ("what", "version"), ("", ""), tuple(rows)))
    slug = content.params.competition.slug
    section.code = f"make setup\nmake submit DATA=path/to/{slug}.zip\nmake report"
    return section
