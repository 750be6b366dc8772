"""Tables in long format."""

import pandas as pd


def from_long(df, id, time, target, features=None):
    """Return a panel from a table in long format, one row a series and time.

    Parameters
    ----------
    df : DataFrame
        One row for each series and time.
    id : str or list of str
        Column that names the series; several columns name it together.
    time : str
        Column of the time stamps.
    target : str or list of str
        Column to forecast; several are forecast together.
    features : list of str, default=None
        Columns that explain it. With them, X is returned as well.

    Returns
    -------
    y : Series or DataFrame
        With a MultiIndex (series, time), sorted by time within each series.
    X : DataFrame
        Only with ``features``: those columns under the same index.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktime_rnn import from_long
    >>> df = pd.DataFrame({"shop": ["a", "b", "a"], "day": [0, 0, 1], "sold": [3.0, 5.0, 4.0]})
    >>> from_long(df, id="shop", time="day", target="sold")
    shop  day
    a     0      3.0
          1      4.0
    b     0      5.0
    Name: sold, dtype: float64
    """
    ids, targets, explaining = (
        list(columns) if isinstance(columns, list | tuple) else [columns] for columns in (id, target, features or [])
    )
    wanted = [*ids, time, *targets, *explaining]
    if not isinstance(df, pd.DataFrame):
        raise TypeError(f"df must be a DataFrame with the columns {wanted}, got {type(df).__name__}. Convert it.")
    absent = [column for column in wanted if column not in df.columns]
    if absent:
        raise ValueError(
            f"df must have the columns {wanted}, but {absent[0]!r} is not there, got {list(df.columns)}. Name a column "
            "that is."
        )
    frame = df.set_index([*ids, time]).sort_index(kind="stable")
    y = frame[targets] if isinstance(target, list | tuple) else frame[target]
    return y if features is None else (y, frame[explaining])
