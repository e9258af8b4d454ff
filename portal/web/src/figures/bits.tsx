import type { ComponentChildren } from "preact";
import type { Coverage, Definition, Row } from "../api";
import { compare, shown } from "../logic/compare";
import type { Format } from "../logic/format";
import { useFigures } from "./context";
import { format as formatState, type FiguresState } from "./state";
import { valueName } from "./words";

/** The difference of a row to what it is compared with, and what that was. */
export function Change({ row, definition, short = false }: { row: Row | undefined; definition: Definition; short?: boolean }) {
  const { format, view } = useFigures();
  const t = format.t;
  const difference = compare(row, row?.before, definition);
  const before = shown(row?.before);
  const was = before === null ? t(`figures.none.${view.compare}`) : t(`figures.was.${view.compare}`, { value: format.value(before, definition.unit) });
  return (
    <span class="fig-change">
      {difference && (
        <span class={`verdict ${difference.verdict}`}>
          <span aria-hidden="true">{difference.verdict === "same" ? "＝" : difference.amount > 0 ? "▲" : "▼"}</span>{" "}
          {format.difference(difference)} <span class={short ? "visually-hidden" : "verdict-word"}>{t(`card.${difference.verdict}`)}</span>
        </span>
      )}
      <span class="was">{was}</span>
    </span>
  );
}

/** How much of what departments report a figure is counted over, in words. */
export function CoverageWords({ coverage, brief = false }: { coverage: Coverage | undefined; brief?: boolean }) {
  const { format, labels } = useFigures();
  const t = format.t;
  if (!coverage) return <span class="aside">{brief ? "–" : t("figures.coverageNone")}</span>;
  const share = coverage.value === null ? "" : format.value(coverage.value, "share");
  const names = (codes: string[] | undefined) => (codes ?? []).map((c) => valueName(format, labels, "department", c)).join(t("figures.and"));
  const bad = coverage.state === "low" || coverage.state === "stopped";
  if (brief) {
    return (
      <span class={bad ? "fig-warning" : ""}>
        {coverage.value === null ? t("figures.coverage.unknown") : share}
        {coverage.state === "stopped" && <small>{t("figures.stopped", { names: names(coverage.stopped) })}</small>}
      </span>
    );
  }
  return (
    <>
      <span class={bad ? "fig-warning" : ""}>
        {coverage.value === null ? t("figures.coverage.unknown") : t("figures.coverageOf", { share, n: format.number(coverage.captured), total: format.number(coverage.reported) })}
      </span>
      {coverage.stopped?.length ? <strong class="fig-warning">{t("figures.stopped", { names: names(coverage.stopped) })}</strong> : null}
      {coverage.unreported?.length ? <span class="aside">{t("figures.unreported", { names: names(coverage.unreported) })}</span> : null}
    </>
  );
}

/** The 95% interval of a time; "" where there is none. */
export function interval(format: Format, row: Row | undefined, definition: Definition, which: "value" | "p90" = "value"): string {
  if (row?.state !== "ok" || definition.kind !== "survival") return "";
  const lower = which === "value" ? row.lower : row.p90_lower;
  const upper = which === "value" ? row.upper : row.p90_upper;
  if (lower === undefined || lower === null) return "";
  if (upper === undefined || upper === null) return format.t("figures.intervalOpen", { lower: format.value(lower, definition.unit) });
  return format.t("figures.interval", { lower: format.value(lower, definition.unit), upper: format.value(upper, definition.unit) });
}

/** A link that changes the page without reading it anew; with a modifier it is the browser's. */
export function FigureLink({ to, children, class: name = "link" }: { to: Partial<FiguresState>; children: ComponentChildren; class?: string }) {
  const { view, choose } = useFigures();
  return (
    <a
      class={name}
      href={`/figures${formatState({ ...view, ...to })}`}
      onClick={(e) => {
        if (e.ctrlKey || e.metaKey || e.shiftKey || e.button !== 0) return;
        e.preventDefault();
        choose(to);
        scrollTo(0, 0);
      }}
    >
      {children}
    </a>
  );
}
