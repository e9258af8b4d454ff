import type { EChartsCoreOption } from "echarts/core";
import type { Definition, Intervention } from "../api";
import { compare, shown } from "../logic/compare";
import type { Format } from "../logic/format";
import { index, position, type Range } from "../logic/months";
import type { Point } from "../logic/series";
import type { Colours } from "./chart";

interface TrendInput {
  points: Point[];
  period: Range;
  marks: Intervention[]; // those that lie in the time shown
  definition: Definition;
  format: Format;
  still: boolean; // no animation
}

/**
 * The line of a metric by month, its counterpart in the baseline dashed, the period shaded, and a vertical line for each
 * intervention. The axis counts months, so that an intervention stands at its day, not at the nearest month.
 */
export function trendOption({ points, period, marks, definition, format, still }: TrendInput, c: Colours, width: number): EChartsCoreOption {
  const first = index(points[0]!.month);
  const last = index(points[points.length - 1]!.month);
  const line = (of: (p: Point) => number | null) => points.map((p) => [index(p.month), of(p)]);
  const every = Math.max(1, Math.ceil((points.length * 46 * (c.size / 12)) / width));
  const k = c.size / 12; // strokes grow with the type: a wall is seen from afar
  const labelled = points.map((_, i) => first + i).filter((at) => (last - at) % every === 0);
  const labels = placeLabels(marks, first, last, format, c.size, (width - 70) / points.length);
  const markTop = 10 + marks.length * (c.size + 6);
  const dot = (p: Point[], i: number, of: (p: Point) => number | null) => of(p[i]!) !== null && (i === 0 || of(p[i - 1]!) === null) && (i === p.length - 1 || of(p[i + 1]!) === null);
  return {
    animation: !still,
    animationDuration: 250,
    textStyle: { fontFamily: c.font, fontSize: c.size },
    grid: { left: 4, right: 14, top: markTop + 8, bottom: 4, containLabel: true },
    xAxis: {
      type: "value", min: first - 0.5, max: last + 0.5,
      axisLine: { lineStyle: { color: c.line } }, axisTick: { show: false }, splitLine: { show: false },
      axisLabel: {
        color: c.faint, fontSize: c.size, margin: 10, lineHeight: c.size * 1.35, customValues: labelled,
        formatter: (at: number) => monthLabel(points[at - first]?.month, at === labelled[0], format),
      },
    },
    yAxis: {
      type: "value", scale: definition.unit === "share", min: definition.unit === "share" ? undefined : 0, splitNumber: 4,
      ...axisOf(points, definition),
      axisLine: { show: false }, axisTick: { show: false }, splitLine: { lineStyle: { color: c.line, width: 1 } },
      axisLabel: { color: c.faint, fontSize: c.size, formatter: (v: number) => axisLabel(v, definition, format) },
    },
    tooltip: {
      trigger: "axis", transitionDuration: 0, confine: true, backgroundColor: c.surface, borderColor: c.line, borderWidth: 1, padding: 0,
      extraCssText: "box-shadow:0 4px 16px rgb(0 0 0 / .12);border-radius:6px",
      axisPointer: { type: "line", snap: true, lineStyle: { color: c.faint, width: 1, type: "solid" } },
      formatter: (items: { value: [number, number | null] }[]) => {
        const point = points[Math.round(items[0]?.value[0] ?? -1) - first];
        return point ? tooltip(point, definition, format) : "";
      },
    },
    series: [
      ...band(points, c),
      {
        name: "baseline", type: "line", data: line((p) => shown(p.baseline)), symbol: "circle", symbolSize: 4 * k,
        showSymbol: true, lineStyle: { color: c.baseline, width: 1.5 * k, type: [4 * k, 4 * k] }, itemStyle: { color: c.baseline }, silent: true, z: 2,
      },
      {
        name: "current", type: "line", data: line((p) => shown(p.row)), symbol: "circle",
        symbolSize: (_: unknown, at: { dataIndex: number }) => (at.dataIndex >= points.length - (last - index(period.from) + 1) || dot(points, at.dataIndex, (p) => shown(p.row)) ? 7 : 5) * k,
        lineStyle: { color: c.current, width: 2.25 * k }, itemStyle: { color: c.current }, z: 3,
        markArea: { silent: true, itemStyle: { color: c.shade }, data: [[{ xAxis: index(period.from) - 0.5 }, { xAxis: index(period.to) + 0.5 }]] },
        markLine: {
          silent: true, symbol: ["none", "none"], lineStyle: { color: c.mark, width: 1.25 * k, type: "solid" }, animation: false,
          data: labels.map((l, level) => ({
            xAxis: l.at,
            label: {
              formatter: l.title, color: c.mark, fontSize: c.size, position: "end", rotate: 0, align: l.toTheLeft ? "right" : "left",
              distance: 4 + level * (c.size + 6), width: l.room, overflow: "truncate",
            },
          })),
        },
      },
    ],
  };
}

/** The 95% intervals as a band behind the line, where the figures have any with both ends. */
function band(points: Point[], c: Colours): object[] {
  const ends = points.map((p) => (shown(p.row) !== null && typeof p.row!.lower === "number" && typeof p.row!.upper === "number" ? ([p.row!.lower, p.row!.upper] as const) : null));
  if (!ends.some((e) => e)) return [];
  const at = points.map((p) => index(p.month));
  const line = { type: "line", stack: "band", stackStrategy: "all", symbol: "none", silent: true, lineStyle: { opacity: 0 }, z: 1 };
  return [
    { ...line, name: "lower", data: ends.map((e, i) => [at[i], e ? e[0] : null]) },
    { ...line, name: "upper", data: ends.map((e, i) => [at[i], e ? e[1] - e[0] : null]), areaStyle: { color: c.current, opacity: 0.13 } },
  ];
}

function monthLabel(month: string | undefined, firstShown: boolean, format: Format): string {
  if (!month) return "";
  const short = format.month(month, "short");
  return firstShown || month.endsWith("-01") ? `${short}\n${month.slice(0, 4)}` : short;
}

interface MarkLabel {
  title: string;
  at: number; // on the axis of months
  toTheLeft: boolean; // of its line, where the right has no room
  room: number; // px
}

/** The labels above the chart, the lowest first: one that reaches over another's line stands above that one's label. */
function placeLabels(marks: Intervention[], first: number, last: number, format: Format, size: number, perMonth: number): MarkLabel[] {
  const reach = (l: MarkLabel) => Math.min(textWidth(l.title, size), l.room) / perMonth;
  const covers = (a: MarkLabel, b: MarkLabel) => (a.toTheLeft ? b.at <= a.at && b.at > a.at - reach(a) : b.at >= a.at && b.at < a.at + reach(a));
  return marks
    .map((mark) => {
      const at = position(mark.starts_on);
      const title = format.text(mark.title);
      const right = (last + 0.5 - at) * perMonth;
      const toTheLeft = textWidth(title, size) > right && at > (first + last) / 2;
      return { title, at, toTheLeft, room: toTheLeft ? (at - first + 0.5) * perMonth : right };
    })
    .sort((a, b) => (covers(a, b) ? 1 : covers(b, a) ? -1 : b.at - a.at));
}

// About as wide as it will be: Chinese characters are as wide as high, others about half of that.
function textWidth(text: string, size: number): number {
  return [...text].reduce((sum, char) => sum + (char > "\u2e7f" ? size : size * 0.56), 0);
}

// Ticks at whole units of what people read: days on the axis, not 100,000 seconds.
function axisOf(points: Point[], definition: Definition): { interval?: number; min?: number; max?: number } {
  if (definition.unit !== "seconds") return {};
  const upper = (p: Point) => (shown(p.row) === null ? 0 : (p.row!.upper ?? 0));
  const most = Math.max(0, ...points.flatMap((p) => [shown(p.row) ?? 0, shown(p.baseline) ?? 0, upper(p)]));
  const unit = most >= 2 * 86400 ? 86400 : most >= 3600 ? 3600 : 60;
  const step = [1, 2, 5, 10, 20, 30, 50, 100, 200, 500, 1000].find((s) => most / (s * unit) <= 5) ?? 2000;
  return { interval: step * unit, min: 0, max: Math.max(1, Math.ceil(most / (step * unit))) * step * unit };
}

function axisLabel(v: number, definition: Definition, format: Format): string {
  if (definition.unit === "share") return new Intl.NumberFormat(format.language, { style: "percent", maximumFractionDigits: 1 }).format(v);
  if (definition.unit === "working_days") return format.number(v, Number.isInteger(v) ? 0 : 1);
  if (v === 0) return "0";
  return format.t(v % 86400 === 0 ? "unit.days" : v % 3600 === 0 ? "unit.hours" : "unit.minutes", { n: format.number(v / (v % 86400 === 0 ? 86400 : v % 3600 === 0 ? 3600 : 60)) });
}

// Built from nodes, not from text: names in it come from the departments' data.
function tooltip(point: Point, definition: Definition, format: Format): HTMLElement {
  const box = document.createElement("div");
  box.className = "tip";
  const add = (parent: HTMLElement, tag: string, text: string, className = "") => {
    const node = document.createElement(tag);
    node.textContent = text;
    node.className = className;
    parent.append(node);
    return node;
  };
  const row = (key: string, month: string, value: string) => {
    const line = add(box, "div", "", "tip-row");
    add(line, "i", "", `key key-${key}`);
    add(line, "span", month);
    add(line, "b", value);
  };
  row("current", format.month(point.month), format.row(point.row, definition.unit));
  row("baseline", format.month(point.baselineMonth), format.row(point.baseline, definition.unit));
  const difference = compare(point.row, point.baseline, definition);
  if (difference) {
    const line = add(box, "div", "", `tip-verdict verdict ${difference.verdict}`);
    add(line, "span", `${format.difference(difference)} ${format.t(`card.${difference.verdict}`)}`);
  }
  if (point.row) {
    const open = point.row.open ? ` · ${format.t("card.open", { n: format.number(point.row.open) })}` : "";
    const number = definition.kind === "survival" ? format.t("card.cases", { n: format.number(point.row.count) }) : `n = ${format.number(point.row.count)}`;
    add(box, "div", number + open, "tip-facts");
  }
  return box;
}
