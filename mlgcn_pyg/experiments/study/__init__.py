"""Studies: does the label graph help on this data?"""

from mlgcn_pyg.experiments.study.analysis import Analysis, analyse
from mlgcn_pyg.experiments.study.contenders import CONTENDERS, SWEEPS, Contender
from mlgcn_pyg.experiments.study.data import StudyData, data_of_parts, data_of_pool
from mlgcn_pyg.experiments.study.estimate import estimate_seconds
from mlgcn_pyg.experiments.study.plan import ALL, PRESETS, Plan, make_plan
from mlgcn_pyg.experiments.study.records import Condition, Run, RunKey
from mlgcn_pyg.experiments.study.study import Study, run_study

__all__ = [
    "ALL",
    "CONTENDERS",
    "PRESETS",
    "SWEEPS",
    "Analysis",
    "Condition",
    "Contender",
    "Plan",
    "Run",
    "RunKey",
    "Study",
    "StudyData",
    "analyse",
    "data_of_parts",
    "data_of_pool",
    "estimate_seconds",
    "make_plan",
    "run_study",
]
