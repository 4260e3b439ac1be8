"""Three real data sets that ship in packages, each in two halves, with the answers of a model.

The first half is the baseline of the second, and what the model was fitted to. Nothing is shuffled:
rows come in the order of the file, those of penguins by year, so that the halves differ as real
data does.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Task = Literal["binary", "classes", "regression"]

PENGUINS = "palmerpenguins==0.1.4"


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set and the answers of a model.

    Attributes
    ----------
    name, task
        What it is called, and the kind of its model.
    source
        Where it comes from, as the page says it.
    numbers, texts
        Features that are compared.
    reference, window
        The two halves: these features, and the columns `prediction` and `label`; `score` of a
        binary model, `score:<class>` of one with several classes.
    """

    name: str
    task: Task
    source: str
    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    reference: pd.DataFrame
    window: pd.DataFrame

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of a model with several, in order."""
        return tuple(
            column.removeprefix("score:")
            for column in self.reference.columns
            if column.startswith("score:")
        )


def breast_cancer() -> DataSet:
    """Return a binary model, of whether a tumour is benign."""
    frame = load_breast_cancer(as_frame=True)
    inputs = frame.data.rename(columns=lambda name: name.replace(" ", "_"))
    half = len(inputs) // 2
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(inputs[:half], frame.target[:half])
    numbers = ("mean_radius", "mean_texture", "mean_smoothness", "mean_concavity")
    score = model.predict_proba(inputs)[:, 1]
    table = inputs[list(numbers)].assign(
        score=score, prediction=score >= 0.5, label=frame.target == 1
    )
    source = "`sklearn.datasets.load_breast_cancer`, logistic regression of all 30 features"
    return _halved("breast_cancer", "binary", source, table, numbers=numbers, texts=())


def diabetes() -> DataSet:
    """Return a regression, of how far an illness has progressed after a year."""
    frame = load_diabetes(as_frame=True, scaled=False)
    half = len(frame.data) // 2
    model = LinearRegression().fit(frame.data[:half], frame.target[:half])
    numbers = ("age", "bmi", "bp", "s5")
    table = frame.data[list(numbers)].assign(
        sex=frame.data["sex"].map(lambda code: f"sex {code:.0f}"),
        prediction=model.predict(frame.data),
        label=frame.target,
    )
    source = "`sklearn.datasets.load_diabetes`, linear regression of all 10 features"
    return _halved("diabetes", "regression", source, table, numbers=numbers, texts=("sex",))


def penguins(folder: Path) -> DataSet:
    """Return a model of three classes, the species of penguins; some values are missing."""
    frame = pd.read_csv(_shipped(folder) / "penguins.csv").sort_values("year", kind="stable")
    frame = frame.reset_index(drop=True)
    numbers = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
    inputs, half = frame[["bill_length_mm", "body_mass_g"]], len(frame) // 2
    model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression())
    model.fit(inputs[:half], frame["species"][:half])
    scores = model.predict_proba(inputs)
    table = frame[[*numbers, "island", "sex"]].assign(
        prediction=model.predict(inputs),
        label=frame["species"],
        **{f"score:{name}": scores[:, place] for place, name in enumerate(model.classes_)},
    )
    source = f"`{PENGUINS}`, by year; logistic regression of bill length and body mass"
    texts = ("island", "sex")
    return _halved("penguins", "classes", source, table, numbers=numbers, texts=texts)


def data_sets(folder: Path) -> list[DataSet]:
    """Return all of them; packages that ship data alone are installed into `folder`."""
    makers: list[Callable[[], DataSet]] = [breast_cancer, diabetes, lambda: penguins(folder)]
    return [make() for make in makers]


def plain(value: Any) -> Any:
    """Return a value of a table as JSON has it: missing ones are None."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and np.isnan(value) else value


def _halved(
    name: str,
    task: Task,
    source: str,
    table: pd.DataFrame,
    *,
    numbers: tuple[str, ...],
    texts: tuple[str, ...],
) -> DataSet:
    half = len(table) // 2
    parts = table[:half].reset_index(drop=True), table[half:].reset_index(drop=True)
    return DataSet(name, task, source, numbers, texts, *parts)


def _shipped(folder: Path) -> Path:
    """Return the files of palmerpenguins, of which nothing is imported: it has no other use."""
    files = folder / "palmerpenguins" / "data"
    if not files.is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--target", str(folder), PENGUINS], check=True)
    return files
