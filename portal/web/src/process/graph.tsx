import { useMemo, useState } from "preact/hooks";
import type { Format } from "../logic/format";
import type { Process, Transition } from "./api";
import { begin, curve, end, layout, places, type Edge } from "./layout";
import type { Measure } from "./state";
import { activityName, short } from "./words";

interface GraphProps {
  process: Process;
  measure: Measure;
  most: number; // edges
  format: Format;
}

/** The directly-follows graph: boxes for activities, lines for what followed what. Thick is frequent, or slow; what goes back is dashed. */
export function Graph({ process, measure, most, format }: GraphProps) {
  const t = format.t;
  const [picked, pick] = useState("");
  const drawn = useMemo(() => {
    const follows = process.follows.slice(0, most);
    const steps = new Map(process.activities.map((a) => [a.activity, a]));
    const width = (id: string) => (id === begin || id === end ? 72 : Math.min(220, Math.max(92, textWidth(activityName(format, id)) + 28)));
    return { steps, ...layout(follows, places(process.listed_variants), width) };
  }, [process, most, format]);
  const weight = (transition: Transition) => (measure === "count" ? transition.count : transition.mean_seconds);
  const heaviest = Math.max(...drawn.edges.map((e) => weight(e.transition)), 1);
  const touched = (e: Edge) => !picked || e.from === picked || e.to === picked;
  return (
    <div class="scroll dfg-scroll" tabIndex={0} role="region" aria-label={t("process.graph")}>
      <svg class={`dfg dfg-${measure}`} width={drawn.width} height={drawn.height} viewBox={`0 0 ${drawn.width} ${drawn.height}`} role="img" aria-label={t("process.graphSummary", { n: format.number(drawn.nodes.filter((n) => n.id !== begin && n.id !== end).length), edges: format.number(drawn.edges.length) })}>
        <defs>
          {["plain", "again"].map((kind) => (
            <marker key={kind} id={`arrow-${kind}`} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto-start-reverse"><path class={`arrow arrow-${kind}`} d="M0 0L8 4L0 8z" /></marker>
          ))}
        </defs>
        {drawn.edges.map((e) => (
          <path
            key={`${e.from} ${e.to}`} class={`edge${e.again ? " again" : ""}${touched(e) ? "" : " passed"}`} d={curve(e)}
            style={{ strokeWidth: `${(1 + 5 * Math.sqrt(weight(e.transition) / heaviest)).toFixed(2)}px` }} marker-end={`url(#arrow-${e.again ? "again" : "plain"})`}
          >
            <title>{`${activityName(format, e.from)} → ${activityName(format, e.to)}: ${t("process.edge", { n: format.number(e.transition.count), cases: format.number(e.transition.cases), mean: short(format, e.transition.mean_seconds), median: short(format, e.transition.median_seconds) })}`}</title>
          </path>
        ))}
        {drawn.nodes.map((n) => {
          const terminal = n.id === begin || n.id === end;
          const steps = drawn.steps.get(n.id);
          return (
            <g key={n.id} class={`node${terminal ? " terminal" : ""}${picked === n.id ? " chosen" : ""}`} transform={`translate(${(n.x - n.width / 2).toFixed(1)} ${(n.y - n.height / 2).toFixed(1)})`} onClick={() => pick(picked === n.id ? "" : n.id)}>
              <rect width={n.width} height={n.height} rx={terminal ? n.height / 2 : 6} />
              <text x={n.width / 2} y={terminal || !steps ? n.height / 2 + 5 : n.height / 2 - 2}>{fit(activityName(format, n.id), n.width - 16)}<title>{activityName(format, n.id)}</title></text>
              {!terminal && steps && <text class="node-facts" x={n.width / 2} y={n.height / 2 + 13}>{measure === "count" ? format.number(steps.steps) : steps.working_seconds > 0 ? short(format, steps.working_seconds / steps.steps) : t(steps.untold_seconds > 0 ? "process.untold" : "process.noTime")}</text>}
            </g>
          );
        })}
        {drawn.edges.map((e) => {
          const text = measure === "count" ? format.number(e.transition.count) : short(format, e.transition.mean_seconds);
          const width = textWidth(text, 11.5) + 8;
          return (
            <g key={`l ${e.from} ${e.to}`} class={`edge-label${e.again ? " again" : ""}${touched(e) ? "" : " passed"}`} transform={`translate(${e.label.x.toFixed(1)} ${e.label.y.toFixed(1)})`}>
              <rect x={-width / 2} y={-9} width={width} height={17} rx="3" />
              <text y={4}>{text}</text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

// About as wide as it will be: Chinese characters are as wide as high, others about half of that.
function textWidth(text: string, size = 13): number {
  return [...text].reduce((sum, char) => sum + (char > "\u2e7f" ? size : size * 0.56), 0);
}

function fit(text: string, room: number): string {
  if (textWidth(text) <= room) return text;
  let kept = "";
  for (const char of text) {
    if (textWidth(kept + char) > room - 13) break;
    kept += char;
  }
  return `${kept}…`;
}
