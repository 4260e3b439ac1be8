"""Metric families: what is measured of a window, one file each.

This is the catalogue, in the order of publication. A new family is a file and a line here; rules,
their validation, summaries, docs and tests read it.
"""

from streams.families.answers import Answers
from streams.families.calibration import Calibration
from streams.families.catalogue import Catalogue
from streams.families.chances import Chances
from streams.families.classification import Classification
from streams.families.confusion import Confusion
from streams.families.distribution import Distribution
from streams.families.error_rate import ErrorRate
from streams.families.error_size import ErrorSize
from streams.families.feature_values import FeatureValues
from streams.families.label_delay import LabelDelay
from streams.families.latency import Latency
from streams.families.mean import Mean
from streams.families.missing_rate import MissingRate
from streams.families.pr_auc import PrAuc
from streams.families.prediction_share import PredictionShare
from streams.families.quality_gap import QualityGap
from streams.families.r2 import R2
from streams.families.record_fates import RecordFates
from streams.families.regression import Regression
from streams.families.resources import Resources
from streams.families.roc_auc import RocAuc
from streams.families.schema import Schema
from streams.families.score import Score
from streams.families.selection_gap import SelectionGap
from streams.families.serving import Serving
from streams.families.std import Std
from streams.families.sure import Sure
from streams.families.traffic import Traffic

CATALOGUE = Catalogue(
    (
        ErrorRate(),
        Traffic(),
        RecordFates(),
        Latency(),
        LabelDelay(),
        MissingRate(),
        Mean(),
        Std(),
        Distribution(),
        FeatureValues(),
        Schema(),
        Serving(),
        Answers(),
        PredictionShare(),
        Score(),
        Classification(),
        Confusion(),
        Sure(),
        RocAuc(),
        PrAuc(),
        Chances(),
        Calibration(),
        Regression(),
        R2(),
        ErrorSize(),
        SelectionGap(),
        QualityGap(),
        Resources(),
    )
)
