import { LineChart } from "echarts/charts";
import { GridComponent, MarkAreaComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import { init, use, type EChartsType } from "echarts/core";
import type { EChartsCoreOption } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import { useEffect, useRef } from "preact/hooks";

use([LineChart, GridComponent, TooltipComponent, MarkLineComponent, MarkAreaComponent, SVGRenderer]);

export interface Colours {
  ink: string;
  faint: string;
  line: string;
  surface: string;
  current: string;
  baseline: string;
  mark: string;
  shade: string;
  font: string;
  size: number;
}

/** The colours in force, from the style sheet, so that there is one palette. */
function colours(element: Element): Colours {
  const style = getComputedStyle(element);
  const of = (name: string) => style.getPropertyValue(name).trim();
  return {
    ink: of("--ink"), faint: of("--ink-2"), line: of("--line"), surface: of("--surface"), current: of("--accent"), baseline: of("--baseline"),
    mark: of("--mark"), shade: of("--shade"), font: style.fontFamily, size: Math.max(12, parseFloat(style.fontSize) * 0.8),
  };
}

interface ChartProps {
  option: (c: Colours, width: number) => EChartsCoreOption;
  label: string; // says what the chart shows, for those who do not see it
  palette: string;
}

/** An ECharts chart as SVG. It follows its size and the palette. */
export function Chart({ option, label, palette }: ChartProps) {
  const holder = useRef<HTMLDivElement>(null);
  const chart = useRef<EChartsType | null>(null);
  const draw = useRef(() => {});
  draw.current = () => {
    if (!holder.current || !chart.current) return;
    chart.current.setOption(option(colours(holder.current), holder.current.clientWidth), { notMerge: true });
  };
  useEffect(() => {
    const made = init(holder.current!, null, { renderer: "svg" });
    chart.current = made;
    draw.current();
    const watch = new ResizeObserver(() => {
      made.resize();
      draw.current();
    });
    watch.observe(holder.current!);
    return () => {
      watch.disconnect();
      made.dispose();
      chart.current = null;
    };
  }, []);
  useEffect(() => draw.current(), [option, palette]);
  return <div class="chart" role="img" aria-label={label} ref={holder} />;
}
