import type { Definition, Events, FigureEvent } from "../api";
import { figure, words, type TableModel } from "../logic/table";
import { format as formatProcess, start as startProcess } from "../process/state";
import { useRemote } from "../remote";
import { eventsURL } from "./api";
import { FigureLink } from "./bits";
import { useFigures, type FiguresPage } from "./context";
import { FigPanel } from "./panel";
import { eventsPerPage, type Part } from "./state";
import { columnName, valueName } from "./words";

const aboutCases = ["mart.cases", "mart.submissions", "mart.avoidable_submissions", "mart.ratings"];

/** The events that a figure is made of, each with what it adds; from there to how the cases of an item go. */
export function EventsPanel({ definition }: { definition: Definition }) {
  const page = useFigures();
  const { definitions, view, choose, period, format, version } = page;
  const t = format.t;
  const several = (definition.inputs?.length ?? 0) > 1;
  const answer = useRemote<Events>(several ? null : eventsURL(definition.name, period, view, definition.dimensions), version);
  const events = answer.data;
  const of = definitions.find((d) => d.name === events?.of) ?? definition;
  const survival = of.kind === "survival";
  if (several) {
    return (
      <section class="panel" aria-labelledby="title-events">
        <h2 id="title-events">{t("events.title")}</h2>
        <p class="definition">{t("events.several")} {definition.inputs!.map((name) => <span key={name} class="fig-input"><FigureLink to={{ metric: name, part: "", skip: 0 }}>{format.text(definitions.find((d) => d.name === name)?.label ?? { zh: name, en: name })}</FigureLink></span>)}</p>
      </section>
    );
  }
  const parts: Part[] = ["", "counted", "rest"];
  const scoped = (item = view.where.item ?? "") => `/process${formatProcess({ ...startProcess, lang: view.lang, theme: view.theme, months: view.months, end: view.end, known: view.compare === "known" ? "" : view.known, item, department: view.where.department ?? "", channel: view.where.channel ?? "" })}`;
  const hidden = events && (events.figure.state === "suppressed" || events.figure.state === "empty");
  return (
    <FigPanel
      name="events" title={t("events.title")} metric={definition.name} remote={answer} table={events && tableOf(page, events, of)}
      legend={
        <>
          {of !== definition && <span>{t("events.of", { name: format.text(of.label) })}</span>}
          <span>{t(survival ? "events.longest" : "events.latest")}</span>
          {view.compare !== "known" && view.known && <span>{t("figures.then", { day: format.day(view.known) })}</span>}
        </>
      }
      below={events && (
        <div class="fig-below">
          {!hidden && (events.skip > 0 || events.more) && (
            <nav class="pager" aria-label={t("jobs.pages")}>
              <button type="button" class="quiet bordered" disabled={view.skip === 0} onClick={() => choose({ skip: Math.max(0, view.skip - eventsPerPage) })}>{t("jobs.previous")}</button>
              <span>{events.rows.length ? `${format.number(events.skip + 1)}–${format.number(events.skip + events.rows.length)}` : "–"}</span>
              <button type="button" class="quiet bordered" disabled={!events.more} onClick={() => choose({ skip: view.skip + eventsPerPage })}>{t("jobs.nextPage")}</button>
            </nav>
          )}
          {aboutCases.includes(events.view) && <a class="link" href={scoped()}>{t("events.process")}</a>}
          <p class="aside">{t("events.private", { view: events.view })}</p>
        </div>
      )}
    >
      <div class="segments" role="group" aria-label={t("events.part")}>
        {parts.map((part) => <button key={part} type="button" aria-pressed={view.part === part} onClick={() => choose({ part, skip: 0 })}>{t(partKey(part, survival))}</button>)}
      </div>
      {events && (hidden ? <p class="definition">{t(events.figure.state === "suppressed" ? "events.suppressed" : "state.empty", { n: of.minimum_cell })}</p> : events.rows.length === 0 ? <p class="definition">{t("events.none")}</p> : <EventTable events={events} of={of} process={aboutCases.includes(events.view) ? scoped : null} />)}
    </FigPanel>
  );
}

function partKey(part: Part, survival: boolean) {
  if (part === "") return "events.all";
  if (survival) return part === "counted" ? "events.ended" : "events.open";
  return part === "counted" ? "events.counted" : "events.rest";
}

function EventTable({ events, of, process }: { events: Events; of: Definition; process: ((item: string) => string) | null }) {
  const page = useFigures();
  const { format } = page;
  const t = format.t;
  const columns = events.columns.map((c, j) => ({ c, j })).filter(({ c }) => c.name !== of.duration); // the time itself stands beside the number
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={t("events.title")}>
      <table class="fig-events-table">
        <thead>
          <tr>
            {columns.map(({ c }, i) => (
              <>
                <th scope="col" key={c.name} class={c.type === "number" ? "num" : ""}>{columnName(format, c.name)}</th>
                {i === 0 && <th scope="col" class="num">{t(of.kind === "survival" ? "events.duration" : "events.adds")}</th>}
              </>
            ))}
          </tr>
        </thead>
        <tbody>
          {events.rows.map((e, i) => (
            <tr key={`${events.skip + i}`}>
              {columns.map(({ c, j }, i) => {
                const text = field(page, c, e.fields[j] ?? "");
                if (i === 0) return <><th scope="row" key={c.name} class="mono">{text}</th><td class="num adds">{adds(page, of, e)}</td></>;
                return (
                  <td key={c.name} class={c.type === "number" ? "num" : ""}>
                    {c.name === "item_code" && process && e.fields[j] ? <a class="link" href={process(e.fields[j]!)} title={t("events.processOf", { name: text })}>{text}</a> : text}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function field({ format, labels }: FiguresPage, column: { name: string; type: string }, value: string): string {
  if (value === "") return "–";
  if (column.type === "time") return format.time(new Date(value));
  if (column.type === "day") return format.day(value);
  if (column.type === "number") return format.number(Number(value), Number.isInteger(Number(value)) ? 0 : 1);
  return valueName(format, labels, column.name, value);
}

/** What one event adds to the figure: its time, or its share of numerator and denominator. */
function adds({ format }: FiguresPage, of: Definition, e: FigureEvent): string {
  if (of.kind === "survival") return `${format.value(e.duration ?? 0, of.unit)}${e.ended ? "" : ` ${format.t("events.soFar")}`}`;
  const n = (v: number) => format.number(v, Number.isInteger(v) ? 0 : 1);
  return format.t("card.of", { n: n(e.numerator), total: n(e.denominator) });
}

function tableOf(page: FiguresPage, events: Events, of: Definition): TableModel {
  const { format } = page;
  const t = format.t;
  const survival = of.kind === "survival";
  return {
    caption: t("events.title"),
    head: [...events.columns.map((c) => columnName(format, c.name)), ...(survival ? [t("events.duration"), t("events.open")] : [t("definition.numerator"), t("definition.denominator")])],
    units: [...events.columns.map(() => ""), survival ? of.unit : "", ""],
    rows: events.rows.map((e) => [
      ...events.columns.map((c, j) => (c.type === "number" ? figure(e.fields[j] ?? "", e.fields[j] ? Number(e.fields[j]) : null) : words(field(page, c, e.fields[j] ?? "")))),
      ...(survival ? [figure("", e.duration), figure("", e.ended ? 0 : 1)] : [figure("", e.numerator), figure("", e.denominator)]),
    ]),
  };
}
