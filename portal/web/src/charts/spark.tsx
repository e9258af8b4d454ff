import { shown } from "../logic/compare";
import type { Point } from "../logic/series";

const width = 120;
const height = 30;
const pad = 3;

/** A small picture of the months, for the eye only: the chart below and its table say the same in full. */
export function Spark({ points }: { points: Point[] }) {
  const values = points.flatMap((p) => [shown(p.row), shown(p.baseline)]).filter((v) => v !== null);
  if (values.length < 2) return null;
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const x = (i: number) => pad + (i / Math.max(1, points.length - 1)) * (width - 2 * pad);
  const y = (v: number) => height - pad - ((v - low) / span) * (height - 2 * pad);
  const path = (of: (p: Point) => number | null) => {
    let pen = "M";
    let d = "";
    points.forEach((p, i) => {
      const v = of(p);
      if (v === null) {
        pen = "M"; // a gap: what cannot be estimated is not drawn
        return;
      }
      d += `${pen}${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
      pen = "L";
    });
    return d;
  };
  const last = points.findLastIndex((p) => shown(p.row) !== null);
  return (
    <svg viewBox={`0 0 ${width} ${height}`} width={width} height={height} preserveAspectRatio="xMinYMid meet" aria-hidden="true" class="spark">
      <path class="spark-baseline" d={path((p) => shown(p.baseline))} />
      <path class="spark-current" d={path((p) => shown(p.row))} />
      {last >= 0 && <circle cx={x(last)} cy={y(shown(points[last]!.row)!)} r="2.4" />}
    </svg>
  );
}
