"""The files of a competition: names, columns and sizes."""

from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from digits.config.section import Name, Section

# YAML has lists, not tuples, so the tuple is not strict; its elements are.
Shape = Annotated[tuple[Annotated[int, Field(ge=4, le=512)], Annotated[int, Field(ge=4, le=512)]], Field(strict=False)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\.csv$")]
Rows = Annotated[int, Field(ge=1)] | None


class Competition(Section):
    """Names, columns and sizes of a competition's files; params.yaml explains each key."""

    slug: Name
    train_file: FileName
    test_file: FileName
    sample_file: FileName
    label_column: str
    test_id_column: str | None
    pixel_prefix: str
    first_pixel: Annotated[int, Field(ge=0)]
    submission_id: str
    submission_label: str
    first_id: Annotated[int, Field(ge=0)]
    image_shape: Shape
    classes: Annotated[int, Field(ge=2, le=256)]
    class_names: Annotated[tuple[str, ...], Field(strict=False)] | None
    train_rows: Rows
    test_rows: Rows
    public_share: Annotated[float, Field(gt=0, le=1)]

    @field_validator("image_shape", mode="before")
    @classmethod
    def _one_channel(cls, shape: Any) -> Any:
        if isinstance(shape, list) and len(shape) == 3:
            raise ValueError("colour images are not supported; give [height, width] of images with one value per pixel")
        return shape

    @model_validator(mode="after")
    def _a_name_for_each_class(self) -> Self:
        if self.class_names is not None and len(self.class_names) != self.classes:
            raise ValueError(f"class_names has {len(self.class_names)} names for {self.classes} classes; correct one")
        return self

    @property
    def pixels(self) -> int:
        """Number of pixels of an image."""
        return self.image_shape[0] * self.image_shape[1]

    @property
    def pixel_columns(self) -> list[str]:
        """Header names of the pixels, row by row from the upper left."""
        return [f"{self.pixel_prefix}{number}" for number in range(self.first_pixel, self.first_pixel + self.pixels)]
