"""What the dashboards are built of: panels of a Prometheus query or two, with a title that says what one sees."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import barchart, bargauge, dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDE, HALF, THIRD = 24, 12, 8
TAG = "loopwright"


@dataclass(frozen=True)
class Query:
    """A PromQL expression and what a series of it is called."""

    expr: str
    legend: str = ""
    instant: bool = False
    table: bool = False


def lines(title: str, about: str, queries: Sequence[Query], unit: str = "short", width: int = HALF) -> Builder:
    """Lines over time."""
    panel = timeseries.Panel().title(title).description(about).datasource(SOURCE).unit(unit).span(width).height(8)
    panel = panel.min(0).fill_opacity(5).line_width(2)
    panel = panel.legend(
        options.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).placement(common.LegendPlacement.BOTTOM)
    )
    panel = panel.tooltip(options.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    return _asked(panel, queries)


def limited(title: str, about: str, queries: Sequence[Query], limit: float, width: int = HALF) -> Builder:
    """Lines over time, and a line that they should stay below."""
    panel = lines(title, about, queries, width=width)
    style = options.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED)
    return panel.thresholds(_thresholds(limit)).thresholds_style(style)


def bars(title: str, about: str, query: Query, limit: float, width: int = HALF) -> Builder:
    """A bar a series, red from a limit on."""
    panel = bargauge.Panel().title(title).description(about).datasource(SOURCE).span(width).height(12).min(0)
    panel = panel.orientation(common.VizOrientation.HORIZONTAL).display_mode(common.BarGaugeDisplayMode.BASIC)
    panel = panel.reduce_options(options.ReduceDataOptions().calcs(["lastNotNull"])).thresholds(_thresholds(limit))
    return _asked(panel, [query])


def shares(title: str, about: str, queries: Sequence[Query], key: str, width: int = WIDE) -> Builder:
    """Bars side by side: what the queries, each a table, have for the same values of a label."""
    panel = barchart.Panel().title(title).description(about).datasource(SOURCE).unit("percentunit").span(width)
    panel = panel.height(10).min(0).x_field(key)
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="joinByField", options={"byField": key}))
    hidden = {f"Time{f' {number}' if len(queries) > 1 else ''}": True for number in range(1, len(queries) + 1)}
    named = {f"Value #{letter}": query.legend for letter, query in zip("ABCDEFGH", queries, strict=False)}
    organised = {"excludeByName": hidden | {"Time": True}, "renameByName": named}
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=organised))
    return _asked(panel, queries)


def states(title: str, about: str, query: Query, width: int = HALF) -> Builder:
    """0 and 1 over time, as calm and alarm."""
    panel = statetimeline.Panel().title(title).description(about).datasource(SOURCE).span(width).height(5)
    calm = model.ValueMappingResult(text="calm", color="green", index=0)
    alarm = model.ValueMappingResult(text="alarm", color="red", index=1)
    panel = panel.mappings([model.ValueMap(options={"0": calm, "1": alarm})])
    return _asked(panel, [query])


def number(
    title: str, about: str, query: Query, unit: str = "short", width: int = 6, red: float | None = None
) -> Builder:
    """One number, large."""
    panel = stat.Panel().title(title).description(about).datasource(SOURCE).unit(unit).span(width).height(4)
    if red is not None:
        panel = panel.thresholds(_thresholds(red))
    return _asked(panel, [query])


def board(uid: str, title: str, about: str, variables: Sequence[Builder]) -> dashboard.Dashboard:
    """An empty dashboard with its variables and links to its siblings."""
    made = dashboard.Dashboard(title).uid(uid).description(about).tags([TAG]).refresh("30s").time("now-6h", "now")
    made = made.tooltip(model.DashboardCursorSync.CROSSHAIR).readonly()
    links = dashboard.DashboardLink("Loopwright").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    made = made.link(links.include_vars(True).keep_time(True).as_dropdown(True))
    source = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    made = made.with_variable(source)
    for one in variables:
        made = made.with_variable(one)
    return made


def labels(name: str, query: str, label: str, *, many: bool = False) -> dashboard.QueryVariable:
    """A variable whose values are a label's."""
    made = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(query)
    made = made.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)
    return made.multi(True).include_all(True).all_value(".*") if many else made


def choice(name: str, label: str, values: Sequence[str]) -> dashboard.CustomVariable:
    """A variable with given values; the first is chosen."""
    given = [model.VariableOption(text=value, value=value, selected=value == values[0]) for value in values]
    return dashboard.CustomVariable(name).label(label).values(",".join(values)).options(given).current(given[0])


def _asked(panel: Builder, queries: Sequence[Query]) -> Builder:
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend or "__auto").ref_id(letter)
        target = target.datasource(SOURCE)
        if query.instant or query.table:
            target = target.instant()
        if query.table:
            target = target.format(PromQueryFormat.TABLE)
        panel = panel.with_target(target)
    return panel


def _thresholds(limit: float) -> dashboard.ThresholdsConfig:
    steps = [model.Threshold(color="green", value=None), model.Threshold(color="red", value=limit)]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
