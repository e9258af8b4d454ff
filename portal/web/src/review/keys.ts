import type { Decision } from "./api";

export type Action = "next" | "previous" | Decision | "reason" | "submit" | "leave" | "help";

/** Where the focus is: in a field that takes text, in the queue, or elsewhere on the page. */
export type Place = "text" | "queue" | "page";

interface Press {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}

const letters: Record<string, Action> = { j: "next", k: "previous", 1: "same", 2: "different", 3: "unsure", r: "reason", "?": "help" };

/**
 * What a key asks for; null for what is the browser's. Letters are text in a field, arrows scroll outside the queue, and
 * whoever speaks to the machine or presses keys by accident can switch the single ones off.
 */
export function actionOf(press: Press, place: Place, single: boolean): Action | null {
  if (press.key === "Enter") return (press.ctrlKey || press.metaKey) && !press.altKey ? "submit" : null;
  if (press.ctrlKey || press.metaKey || press.altKey) return null;
  if (press.key === "Escape") return "leave";
  if (place === "queue" && press.key === "ArrowDown") return "next";
  if (place === "queue" && press.key === "ArrowUp") return "previous";
  if (place === "text" || !single) return null;
  return letters[press.key.toLowerCase()] ?? null;
}

/** Where in a list of n a step leads; it stops at the ends. From outside it enters at the first. */
export function moved(at: number, step: 1 | -1, n: number): number {
  if (n === 0) return -1;
  if (at < 0) return 0;
  return Math.min(n - 1, Math.max(0, at + step));
}
