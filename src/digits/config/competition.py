"""The files of a competition: names, columns and sizes."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from digits.config.section import Section

# YAML has lists, not tuples, so the tuple is not strict; its elements are.
Shape = Annotated[tuple[Annotated[int, Field(ge=4, le=512)], Annotated[int, Field(ge=4, le=512)]], Field(strict=False)]
FileName = Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f.][^/\\\x00-\x1f]*\.csv$", max_length=200)]
Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,60}$")]
Columns = Annotated[tuple[str, ...], Field(strict=False, min_length=2)]  # one per class
Number = Annotated[float, Field(strict=False, allow_inf_nan=False)]
Rows = Annotated[int, Field(ge=1)] | None
Metric = Literal["accuracy", "log-loss", "macro-f1"]


class Competition(Section):
    """Names, columns and sizes of a competition's files; params.yaml explains each key."""

    slug: Slug
    train_file: FileName
    test_file: FileName | None
    sample_file: FileName | None
    labels_file: FileName | None
    label_column: str | Columns
    train_id_column: str | None
    test_id_column: str | None
    pixel_prefix: str
    first_pixel: Annotated[int, Field(ge=0)] | str
    pixel_range: Annotated[tuple[Number, Number], Field(strict=False)] | None
    submission_id: str
    submission_label: str | Columns
    first_id: Annotated[int, Field(ge=0)]
    image_shape: Shape
    channels: Annotated[int, Field(ge=1, le=4)]
    planar: bool
    classes: Annotated[int, Field(ge=2, le=256)]
    class_names: Annotated[tuple[str, ...], Field(strict=False)] | None
    train_rows: Rows
    test_rows: Rows
    public_share: Annotated[float, Field(gt=0, le=1)]
    metric: Metric

    @field_validator("image_shape", mode="before")
    @classmethod
    def _two_numbers(cls, shape: Any) -> Any:
        if isinstance(shape, list) and len(shape) == 3:
            raise ValueError(f"give [height, width] here, and the values per pixel as channels: {shape[2]}")
        return shape

    @model_validator(mode="after")
    def _what_goes_together(self) -> Self:
        if self.class_names is not None and len(self.class_names) != self.classes:
            raise ValueError(f"class_names has {len(self.class_names)} names for {self.classes} classes; correct one")
        if isinstance(self.submission_label, tuple) and len(self.submission_label) != self.classes:
            raise ValueError(
                f"submission_label has {len(self.submission_label)} columns of probabilities for {self.classes} "
                "classes; correct one"
            )
        if self.labels_file is not None and self.train_id_column is None:
            raise ValueError("labels_file needs train_id_column, the column of the ids in both files; set it")
        if self.pixel_range is not None and not self.pixel_range[0] < self.pixel_range[1]:
            raise ValueError(f"pixel_range is {list(self.pixel_range)}, but it must begin with the smaller number")
        if self.metric == "log-loss" and isinstance(self.submission_label, str):
            raise ValueError(
                f"the metric log-loss counts probabilities: set submission_label to a list of {self.classes} columns, "
                "one for each class"
            )
        if self.metric != "log-loss" and not isinstance(self.submission_label, str):
            raise ValueError(
                f"submission_label lists columns of probabilities, but the metric {self.metric} counts labels: set "
                "submission_label to one column, or metric to log-loss"
            )
        return self

    @property
    def files(self) -> list[str]:
        """Names of all files of the competition."""
        names = (self.train_file, self.test_file, self.sample_file, self.labels_file)
        return [name for name in names if name is not None]

    @property
    def test_name(self) -> str:
        """Name of the file with the images to predict."""
        return self.test_file or self.train_file

    @property
    def needed_files(self) -> list[str]:
        """Names of the files without which nothing works."""
        return [name for name in self.files if name != self.sample_file]

    @property
    def label_columns(self) -> list[str]:
        """Columns of the labels: one, or one per class."""
        return [self.label_column] if isinstance(self.label_column, str) else [*self.label_column]

    @property
    def submission_columns(self) -> list[str]:
        """Header names of the submission: the id, then the label or a probability per class."""
        predicted = self.submission_label
        return [self.submission_id, *([predicted] if isinstance(predicted, str) else predicted)]

    @property
    def pixels(self) -> int:
        """Number of values of an image: pixels times channels."""
        return self.image_shape[0] * self.image_shape[1] * self.channels

    @property
    def pixel_columns(self) -> list[str]:
        """Names of the pixels' columns, row by row from the upper left. first_pixel must be a number."""
        assert isinstance(self.first_pixel, int)
        return [f"{self.pixel_prefix}{number}" for number in range(self.first_pixel, self.first_pixel + self.pixels)]
