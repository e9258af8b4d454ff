import type { EChartsCoreOption } from "echarts/core";
import type { Colours } from "../charts/chart";
import type { Format } from "../logic/format";
import { index, position } from "../logic/months";
import { figure, words, type TableModel } from "../logic/table";
import type { Period, Result, Step, Unit } from "./api";
import { value } from "./words";

interface Line {
  name: string;
  kind: "current" | "baseline" | "mark";
  data: [number, number | null][];
  dashed?: boolean;
  step?: boolean;
}

/** What all charts of the page have in common. */
function frame(lines: Line[], c: Colours, still: boolean): EChartsCoreOption {
  const colour = { current: c.current, baseline: c.baseline, mark: c.mark };
  return {
    animation: !still, animationDuration: 250, textStyle: { fontFamily: c.font, fontSize: c.size },
    grid: { left: 4, right: 16, top: 28, bottom: 4, containLabel: true },
    series: lines.map((l) => ({
      name: l.name, type: "line", data: l.data, step: l.step ? "end" : false, symbol: l.step ? "none" : "circle", symbolSize: 5, connectNulls: false,
      lineStyle: { color: colour[l.kind], width: l.kind === "current" ? 2.25 : 1.5, type: l.dashed ? [4, 4] : "solid" }, itemStyle: { color: colour[l.kind] },
    })),
  };
}

/** A tooltip of one line for each series; every text is set as text. */
function tip(c: Colours, title: (at: number) => string, text: (n: number) => string): object {
  return {
    trigger: "axis", transitionDuration: 0, confine: true, backgroundColor: c.surface, borderColor: c.line, borderWidth: 1, padding: 0,
    axisPointer: { type: "line", lineStyle: { color: c.faint, width: 1, type: "solid" } },
    formatter: (items: { seriesName: string; value: [number, number | null] }[]) => {
      const box = document.createElement("div");
      box.className = "tip";
      const head = document.createElement("div");
      head.textContent = title(items[0]?.value[0] ?? 0);
      box.append(head);
      for (const item of items) {
        const line = document.createElement("div");
        line.className = "tip-row";
        const name = document.createElement("span");
        name.textContent = item.seriesName;
        const figure = document.createElement("b");
        figure.textContent = item.value[1] === null ? "–" : text(item.value[1]);
        line.append(name, figure);
        box.append(line);
      }
      return box;
    },
  };
}

const isTime = (unit: Unit) => unit === "days" || unit === "working_days";

/** By month: the figure with open cases counted, closed cases alone beside it, and what would have been without the measure. */
export function monthsOption(r: Result, format: Format, still: boolean, c: Colours, width: number): EChartsCoreOption {
  const months = r.months ?? [];
  const t = format.t;
  const unit = r.metric.unit;
  const line = (of: (m: (typeof months)[number]) => number | undefined): [number, number | null][] => months.map((m) => [index(m.month), of(m) ?? null]);
  const lines: Line[] = [{ name: t(isTime(unit) ? "evaluation.kaplanMeier" : "evaluation.ratio"), kind: "current", data: line((m) => m.value) }];
  if (isTime(unit)) lines.push({ name: t("evaluation.closedOnly"), kind: "mark", data: line((m) => m.closed_only), dashed: true });
  lines.push({ name: t("evaluation.expected"), kind: "baseline", data: line((m) => m.expected), dashed: true });
  const first = index(months[0]!.month);
  const every = Math.max(1, Math.ceil((months.length * 46) / width));
  const option = frame(lines, c, still) as { series: object[] };
  option.series[0] = {
    ...option.series[0],
    markLine: {
      silent: true, symbol: ["none", "none"], animation: false, lineStyle: { color: c.mark, width: 1.25, type: "solid" },
      data: [{ xAxis: position(r.intervention.since), label: { formatter: t("evaluation.begins"), color: c.mark, fontSize: c.size, position: "end" } }],
    },
    markArea: { silent: true, itemStyle: { color: c.shade }, data: [[{ xAxis: position(r.intervention.since) }, { xAxis: first + months.length - 0.5 }]] },
  };
  return {
    ...option,
    xAxis: {
      type: "value", min: first - 0.5, max: first + months.length - 0.5, axisLine: { lineStyle: { color: c.line } }, axisTick: { show: false }, splitLine: { show: false },
      axisLabel: {
        color: c.faint, fontSize: c.size, customValues: months.map((_, i) => first + i).filter((_, i) => i % every === 0),
        formatter: (at: number) => {
          const month = months[at - first]?.month;
          if (!month) return "";
          return at === first || month.endsWith("-01") ? `${format.month(month, "short")}\n${month.slice(0, 4)}` : format.month(month, "short");
        },
      },
    },
    yAxis: {
      type: "value", min: 0, splitNumber: 4, axisLine: { show: false }, axisTick: { show: false }, splitLine: { lineStyle: { color: c.line } },
      axisLabel: { color: c.faint, fontSize: c.size, formatter: (n: number) => (unit === "share" ? format.value(n, "share") : format.number(n, n % 1 ? 1 : 0)) },
    },
    tooltip: tip(c, (at) => (months[Math.round(at) - first] ? format.month(months[Math.round(at) - first]!.month) : ""), (n) => value(format, n, unit)),
  };
}

export function monthsTable(r: Result, format: Format): TableModel {
  const t = format.t;
  const unit = r.metric.unit;
  const cell = (n: number | undefined) => figure(n === undefined ? "–" : value(format, n, unit), n);
  const head = [t("evaluation.month"), t("evaluation.state"), t("evaluation.cases"), t(isTime(unit) ? "evaluation.kaplanMeier" : "evaluation.ratio")];
  if (isTime(unit)) head.push(t("evaluation.closedOnly"));
  head.push(t("evaluation.adjusted"), t("evaluation.expected"));
  return {
    caption: t("evaluation.monthsTitle"), head, units: head.map((_, i) => (i > 2 ? unit : "")),
    rows: (r.months ?? []).map((m) => [
      words(format.month(m.month)), words(t(`evaluation.month.${m.state}`)), figure(m.state === "suppressed" ? "–" : format.number(m.cases), m.state === "suppressed" ? null : m.cases),
      cell(m.value), ...(isTime(unit) ? [cell(m.closed_only)] : []), cell(m.adjusted), cell(m.expected),
    ]),
  };
}

/** The share of cases that last longer than each time, before the start and after it. */
export function curvesOption(before: Step[], after: Step[], unit: Unit, format: Format, still: boolean, c: Colours): EChartsCoreOption {
  const t = format.t;
  const line = (steps: Step[]): [number, number | null][] => [[0, 1], ...steps.map((s): [number, number | null] => [s.duration, s.survival])];
  const lines: Line[] = [
    { name: t("evaluation.before"), kind: "baseline", data: line(before), step: true, dashed: true },
    { name: t("evaluation.after"), kind: "current", data: line(after), step: true },
  ];
  const option = frame(lines, c, still) as { series: object[] };
  option.series[0] = {
    ...option.series[0],
    markLine: { silent: true, symbol: ["none", "none"], animation: false, lineStyle: { color: c.faint, width: 1, type: [2, 3] }, label: { formatter: t("evaluation.half"), color: c.faint, fontSize: c.size, position: "insideEndTop" }, data: [{ yAxis: 0.5 }] },
  };
  return {
    ...option,
    xAxis: { type: "value", min: 0, max: reach([...before, ...after]), axisLine: { lineStyle: { color: c.line } }, axisTick: { show: false }, splitLine: { show: false }, axisLabel: { color: c.faint, fontSize: c.size, formatter: (n: number) => format.number(n) } },
    yAxis: { type: "value", min: 0, max: 1, interval: 0.25, axisLine: { show: false }, axisTick: { show: false }, splitLine: { lineStyle: { color: c.line } }, axisLabel: { color: c.faint, fontSize: c.size, formatter: (n: number) => `${format.number(n * 100)}%` } },
    tooltip: tip(c, (at) => value(format, at, unit), (n) => format.value(n, "share")),
  };
}

/** How far the axis goes: up to where one case in fifty is left, so that a long tail does not flatten the rest. */
export function reach(steps: Step[]): number {
  const shown = steps.filter((s) => s.survival >= 0.02).map((s) => s.duration);
  return Math.max(1, Math.ceil(Math.max(0, ...shown) * 1.1));
}

export function curvesTable(r: Result, format: Format): TableModel {
  const t = format.t;
  const unit = r.metric.unit;
  const at = (p: Period, share: number) => p.curve?.find((s) => s.survival <= 1 - share)?.duration;
  const cell = (n: number | undefined) => figure(n === undefined ? t("evaluation.notEstimable") : value(format, n, unit), n);
  return {
    caption: t("evaluation.curvesCaption"), head: [t("evaluation.share"), t("evaluation.before"), t("evaluation.after")], units: ["", unit, unit],
    rows: [0.1, 0.25, 0.5, 0.75, 0.9].map((share) => [words(`${format.number(share * 100)}%`), cell(at(r.before!, share)), cell(at(r.after!, share))]),
  };
}
