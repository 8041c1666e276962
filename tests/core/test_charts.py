"""A chart and the table behind it tell the same."""

from apps.core.charts import figure_of, table_of


def test_each_trace_is_a_column_and_gaps_stay_empty():
    figure = figure_of(
        {
            "data": [{"name": "a", "x": [1, 2], "y": [0.123456789, 4]}, {"name": "b", "x": [2], "y": [5]}],
            "layout": {"xaxis": {"title": {"text": "Hour"}}},
        }
    )

    table = table_of(figure)

    assert table.header == ["Hour", "a", "b"]
    assert table.rows == [[1, 0.123457, ""], [2, 4, 5]]


def test_flat_bars_name_their_rows_by_y():
    table = table_of(figure_of({"data": [{"type": "bar", "orientation": "h", "x": [0.9], "y": ["seven"]}]}))

    assert table.rows == [["seven", 0.9]]


def test_bars_over_digits_stay_names():
    figure = figure_of({"data": [{"type": "bar", "x": ["0", "1"], "y": [1, 2]}]})

    assert figure["layout"]["xaxis"]["type"] == "category"


def test_a_heat_map_becomes_rows_and_columns():
    heat = {"type": "heatmap", "x": ["p", "q"], "y": ["a", "b"], "z": [[1, 2], [3, 4]]}

    assert table_of(figure_of({"data": [heat]})).rows == [["a", 1, 2], ["b", 3, 4]]


def test_plotly_figures_with_arrays_become_plain_lists():
    import numpy as np
    import plotly.graph_objects as go

    figure = figure_of(go.Figure(go.Bar(x=["a"], y=np.array([1.5]))))

    assert figure["data"][0]["y"] == [1.5]
