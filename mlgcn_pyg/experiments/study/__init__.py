r"""Studies: does the label graph help on this data?

A study trains contenders on the same splits, compares them, and answers in words.

Protocol:

* **Pairing.** On a split, all contenders have the same training, validation and test images, the same hidden targets,
  and the same seed of initial weights and of the order of images. Effects are differences on the same splits and test
  images (Bouthillier et al. 2021).
* **Equal search.** Every contender has three candidates, penalties of 1/3, 1 and 3 times a value that is computed from
  its training data. The mAP on validation images selects one, and only this one is scored on test images.
* **Splits.** There are 10 by default, since results vary with them (Shchur et al. 2018; Bouthillier et al. 2021). They
  differ in the seed and in the images that are drawn. If all images of a fixed training set are used, they differ in
  the seed, and where no validation images are given, in these. From 5,000 training images on, heads that are trained by
  SGD have 3 splits.
* **Intervals and tests over test images.** A bootstrap of the images, which are drawn once for all runs: BCa from 500
  test images on (Efron 1987), the shifted percentile interval for fewer. In simulations with 500 to 2,000 images, 95 %
  intervals missed in 4.5 to 5.9 % of most series of studies if each label had 10 or 30 % of the images, and in 7 to
  9 % if it had 3 %.
* **Intervals and tests over splits.** t intervals. On one fixed test set, p is that of the exact sign-flip test. It
  requires 6 splits: with 5, p is at least 2 / 2⁵ > 0.05. Five corrected comparisons require 8, since 5 · 2 / 2⁷ > 0.05.
  From 21 splits on, p is that of the t test. Splits of one pool overlap: the variance of their mean difference is
  (1/R + n_test / n_train) s² instead of s² / R (Nadeau and Bengio 2003), and p is that of the t test.
* **Both.** A joint interval accounts for images and splits. The p value of an effect is the largest of those over
  images, over splits, and over both. Exact fits to equal images do not vary over splits, and only the images count
  (:mod:`~mlgcn_pyg.experiments.study.uncertainty`).
* **No test.** An effect is descriptive if there are fewer splits than the test requires, if there are fewer than 20
  test images, or if there is a fixed test set and the training sets of the splits share more than 10 % of their
  images, but not all.
* **Five primary comparisons, named beforehand**, are corrected by Holm (1979): ML-GCN against p = 0, shuffled labels
  and the linear head, and sharing against the linear head and shuffled labels. If there are several conditions, such
  as numbers of training images, the five of each are corrected, and not all together. All other comparisons are
  exploratory and not corrected.
* **Controls.** A control, such as shuffled labels, is drawn ⌈20 / R⌉ times on each split, where R is the number of
  splits of the study. Its result on a split is the mean over the draws.
* **Smallest effect of interest**, 0.3 mAP by default. Two contenders are equivalent if the 90 % intervals over images,
  over splits and over both lie within it (two one-sided tests, Schuirmann 1987).
* **Groups.** The primary comparisons are repeated on labels by frequency, on labels that receive messages and on the
  others, and on images in and out of context (:mod:`~mlgcn_pyg.experiments.study.groups`). These are exploratory.

Sources: Bouthillier et al., `Accounting for Variance in Machine Learning Benchmarks
<https://arxiv.org/abs/2103.03098>`_, 2021. Shchur et al., `Pitfalls of Graph Neural Network Evaluation
<https://arxiv.org/abs/1811.05868>`_, 2018. Nadeau and Bengio, Inference for the Generalization Error, Machine Learning
52, 2003. Efron, Better Bootstrap Confidence Intervals, Journal of the American Statistical Association 82, 1987. Holm,
A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6, 1979. Schuirmann, A
Comparison of the Two One-Sided Tests Procedure and the Power Approach, Journal of Pharmacokinetics and Biopharmaceutics
15, 1987.

Scores in place of features: the features may be the logits (N, C) of any classifier, such as CLIP or an ONNX model.
:meth:`FeatureCache.from_arrays <mlgcn_pyg.features.FeatureCache.from_arrays>` writes them with the targets to a feature
file, and no photograph is needed. The linear head then combines the scores of all labels, and the heads with a graph
share or propagate them.
"""

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
