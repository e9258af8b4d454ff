import type { Block } from "./api";

/** Where a block is in its lane, in percent of the window. */
export function place(block: Block, from: number, to: number): { left: number; width: number } {
  const at = (time: string) => Math.min(1, Math.max(0, (Date.parse(time) - from) / (to - from)));
  const left = at(block.from);
  return { left: left * 100, width: (at(block.to) - left) * 100 };
}

export interface Tick {
  at: number; // percent of the window
  time: Date;
  midnight: boolean;
  minor: boolean; // left out where there is little room
}

const hour = 3_600_000;

/** The hours (of a day) or midnights (of a week) in a window, on the clock of a zone. */
export function ticks(from: number, to: number, zone: string, every: number): Tick[] {
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone });
  const list: Tick[] = [];
  // Zones are off by quarters of an hour at the least.
  for (let t = Math.ceil(from / (hour / 4)) * (hour / 4); t <= to; t += hour / 4) {
    const [h = 0, m = 0] = clock.format(t).split(":").map(Number);
    if (m === 0 && h % every === 0) list.push({ at: ((t - from) / (to - from)) * 100, time: new Date(t), midnight: h === 0, minor: h % 6 !== 0 });
  }
  return list;
}

/**
 * How high the bars of durations are, in percent: the longest is full, and none is too low to be seen. What is below a
 * second is noise and makes no tall bar.
 */
export function heights(seconds: number[]): number[] {
  const longest = Math.max(1, ...seconds);
  return seconds.map((s) => Math.max(12, (s / longest) * 100));
}
