"""The commands: what each is for, which stages it runs, its options, and where it writes."""

from typing import Any

import click

from digits.cli import options


class Command(click.Command):
    """A command, the stages that it runs in order, and its options.

    A stage is a module of digits.cli.commands; it does only what is not done yet. A command with the option
    --require-gpu fits networks, and needs the package's extra `keras`.
    """

    def __init__(self, name: str, text: str, stages: str, *own: click.Option):
        self.stages = tuple(stages.split())
        self.fits_networks = options.REQUIRE_GPU in own
        described = f"{text[0].upper()}{text[1:]}."
        if len(self.stages) > 1:
            described += f"\n\nStages: {', '.join(self.stages)}; what is done already is skipped."
        super().__init__(name, params=[*own, *options.PARAMS, options.DEBUG], help=described, short_help=text)

    def invoke(self, ctx: click.Context) -> tuple["Command", dict[str, Any]]:
        """The command and the values of its options; `main` runs it, as click handles interruptions in its own way."""
        return self, ctx.params


_NETWORKS = (options.DATA, options.budget("train", 5), options.REQUIRE_GPU, options.CLUSTER)

# by what people want, in the order of the help
GROUPS = {
    "Start": (
        Command(
            "data",
            "find or download the competition's files, check them, split them into folds and a holdout",
            "fetch prepare",
            options.DATA,
        ),
        Command(
            "submit",
            "fit networks, blend them, write and check the submission; with credentials, send it and get its score",
            "fetch prepare train ensemble submit",
            *_NETWORKS,
            options.UPLOAD,
            options.FORCE,
        ),
    ),
    "Improve": (
        Command(
            "baseline",
            "fit scikit-learn models over the folds and rank them; submit adds them to the blend",
            "fetch prepare baseline",
            options.DATA,
            options.only("fit", "all"),
            options.workers("baseline", "one per core"),
            options.CLUSTER,
        ),
        Command(
            "tune",
            "search for a better network; submit uses it",
            "fetch prepare tune",
            options.DATA,
            options.budget("tune", 30),
            options.workers("tune", "as many as are fastest together; one with a GPU"),
            options.STORAGE,
            options.REQUIRE_GPU,
            options.CLUSTER,
        ),
        Command(
            "train",
            "fit Keras networks: over the folds first, then on all labelled images",
            "fetch prepare train",
            *_NETWORKS,
        ),
        Command("ensemble", "blend all finished networks and baselines", "fetch prepare train ensemble", *_NETWORKS),
    ),
    "Look": (
        Command(
            "report",
            "write reports/index.html: results, models and errors in tables and pictures",
            "report",
            options.DATA,
        ),
        Command("watch", "follow a training or a search in a browser while it runs", "watch", options.DATA),
        Command(
            "runs", "list the contents of runs/: size, age, fits, and which command uses them", "runs", options.DATA
        ),
        Command(
            "clean-runs",
            "remove what no command uses from runs/, or what ONLY names; asks first",
            "clean_runs",
            options.DATA,
            options.only("remove", "what no command uses"),
            options.UNASKED,
        ),
        Command(
            "tune-dashboard",
            "look at the search in a browser, also while it runs",
            "fetch prepare dashboard",
            options.DATA,
            options.STORAGE,
        ),
        Command(
            "recipes",
            "fit published recipes and compare their accuracies; half an hour for all",
            "fetch prepare recipes",
            options.DATA,
            options.only("fit", "all"),
            options.SEEDS,
            options.REQUIRE_GPU,
            options.CLUSTER,
        ),
        Command(
            "compare",
            "say what differs between two runs, RUNS, and which images only one of them gets right",
            "compare",
            options.DATA,
            options.RUNS,
        ),
        Command("score", "get the scores that Kaggle had not computed yet", "score"),
        Command("submissions", "list all submissions with their estimates and scores", "submissions"),
        Command("leaderboard", "show where your Kaggle account stands", "leaderboard"),
    ),
    "Use": (
        Command("predict", "label other images, FILE, by the newest blend", "predict", options.FILE, options.BLEND),
        Command(
            "export",
            "write the models of a blend for other programs: Keras, ONNX, LiteRT, scikit-learn",
            "export",
            options.BLEND,
            options.TTA,
        ),
        Command(
            "demo",
            "write demo/index.html, a page that reads the digit that you draw",
            "demo",
            options.DATA,
            options.BLEND,
        ),
    ),
    "Grow": (
        Command(
            "kaggle-gpu",
            "train on Kaggle's GPUs, and place the fits here; submit blends them with those made here",
            "fetch prepare kaggle_gpu",
            options.DATA,
            options.budget("train", 5),
        ),
    ),
}
COMMANDS = {command.name: command for group in GROUPS.values() for command in group}
# where stages write last, beside runs/: after hours, so that it is tried first
WRITES = {
    **dict.fromkeys(("baseline", "tune", "ensemble", "recipes", "report", "compare"), "reports"),
    **dict.fromkeys(("submit", "score"), "submissions"),
    **{"predict": "predictions", "export": "exported", "demo": "demo"},
}
ONLY_READS = {"watch"}  # beside commands that write, for hours: it takes no lock and creates no folder
