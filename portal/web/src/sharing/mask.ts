/** A citizen number as it may stay on a screen: three characters of the beginning and four of the end, as grants mask it in part. */
export function masked(number: string): string {
  const all = [...number.replace(/\s/g, "")];
  const [head, tail] = all.length >= 15 ? [3, 4] : [0, 0];
  return all.slice(0, head).join("") + "*".repeat(all.length - head - tail) + all.slice(all.length - tail).join("");
}
