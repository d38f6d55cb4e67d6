"""Estimators of scikit-learn and statsmodels: fitted and unfitted, with the notebook's functions."""

from __future__ import annotations

from corpus.case import Case

_DATA = """
import numpy as np
from sklearn.datasets import load_iris
X, y = load_iris(return_X_y=True)
X, y = X[::5], y[::5]
"""

_FORMULA = """
import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
def f(v): return v ** 2
df = pd.DataFrame({'x': np.arange(1., 9), 'z': np.arange(2., 10) ** 2, 'y': [1., 3, 2, 5, 7, 6, 9, 12]})
"""

CASES = (
    Case(
        "a model trained there predicts here",
        """
        from sklearn.linear_model import LogisticRegression
        model = LogisticRegression(max_iter=200).fit(X, y)
        score = round(model.score(X, y), 6)
        """,
        setup=(_DATA,),
        then=("print(model.predict(X)[:5], round(model.score(X, y), 3))",),
        fast=True,
    ),
    Case(
        "a model trained here predicts there",
        "predicted = model.predict(X)\ncoefficients = model.coef_.shape",
        setup=(_DATA, "from sklearn.linear_model import Ridge\nmodel = Ridge().fit(X, y)"),
    ),
    Case(
        "an estimator is shown as HTML",
        "from sklearn.tree import DecisionTreeClassifier\nDecisionTreeClassifier(max_depth=2)",
    ),
    Case(
        "a forest with a fixed seed",
        """
        from sklearn.ensemble import RandomForestClassifier
        forest = RandomForestClassifier(5, random_state=0).fit(X, y)
        importances = forest.feature_importances_
        forest_kind = type(forest).__name__
        predicted = forest.predict(X)
        del forest
        """,
        setup=(_DATA,),
    ),
    Case(
        "a pipeline with the notebook's function",
        """
        pipe = make_pipeline(FunctionTransformer(halve), Ridge()).fit(X, y)
        predicted = pipe.predict(X).round(6)
        """,
        setup=(
            _DATA,
            """
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer
        from sklearn.linear_model import Ridge
        def halve(x): return x / DIVISOR
        """,
            "DIVISOR = 2",
        ),
        then=("print((pipe.predict(X).round(6) == predicted).all())",),
    ),
    Case(
        "a transformer of the notebook's own class",
        "scaled = Scale(2).fit_transform(X)\nscaler = Scale(3).fit(X)",
        setup=(
            _DATA,
            """
        from sklearn.base import BaseEstimator, TransformerMixin
        class Scale(TransformerMixin, BaseEstimator):
            def __init__(self, k=1): self.k = k
            def fit(self, X, y=None):
                self.n_ = len(X)
                return self
            def transform(self, X): return X * self.k
        """,
        ),
        then=("print(type(scaler) is Scale, scaler)",),
    ),
    Case(
        "a search over parameters",
        """
        from sklearn.model_selection import GridSearchCV
        from sklearn.neighbors import KNeighborsClassifier
        search = GridSearchCV(KNeighborsClassifier(), {'n_neighbors': [1, 3]}, cv=2).fit(X, y)
        best = search.best_params_
        del search
        """,
        setup=(_DATA,),
    ),
    Case(
        "data split with a seed",
        """
        from sklearn.model_selection import train_test_split
        parts = train_test_split(X, y, random_state=1)
        shapes = [p.shape for p in parts]
        """,
        setup=(_DATA,),
    ),
    Case(
        "a model fitted again there",
        "model = model.set_params(alpha=2).fit(X, y)\nlearned = model.coef_.round(6)",
        setup=(_DATA, "from sklearn.linear_model import Ridge\nmodel = Ridge()"),
    ),
    Case(
        "a formula with the notebook's names",
        "model = smf.ols('y ~ x + np.log(z) + f(x)', df).fit()\np = model.params.round(5)",
        setup=(_FORMULA,),
        then=("print(model.predict(df[:2]).round(4).tolist())",),
    ),
    Case(
        "a model made by a formula of another cell",
        "p = model.predict(df[:2]).round(4).tolist()",
        setup=(_FORMULA, "model = smf.ols('y ~ x + np.log(z) + f(x)', df).fit()"),
    ),
    Case(
        "a formula with the cell's own names",
        _FORMULA + "model = smf.ols('y ~ x + np.log(z) + f(x)', df).fit()",
        then=("print(model.predict(df[:2]).round(4).tolist())",),
    ),
)
