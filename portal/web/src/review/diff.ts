/** A part of a value, and whether the other value has it too. */
export interface Piece {
  text: string;
  same: boolean;
}

export type Relation = "equal" | "different" | "one" | "neither";

export function relation(a: string, b: string): Relation {
  if (!a && !b) return "neither";
  if (!a || !b) return "one";
  return a === b ? "equal" : "different";
}

const longest = 400; // characters; the table below grows with the square
const related = 1 / 3; // with less in common, two values are two values: marking scattered characters only confuses

/** Takes two values apart into what they have in common, in order, and what is in one alone. */
export function difference(a: string, b: string): [Piece[], Piece[]] {
  const x = Array.from(a);
  const y = Array.from(b);
  const common = x.length > longest || y.length > longest ? [] : inCommon(x, y);
  if (common.length < related * Math.max(x.length, y.length)) return [whole(a, a === b), whole(b, a === b)];
  return [pieces(x, new Set(common.map(([i]) => i))), pieces(y, new Set(common.map(([, j]) => j)))];
}

/** The places at which two values agree. Numbers and dates of one length are read place by place, as people do. */
function inCommon(x: string[], y: string[]): [number, number][] {
  const inPlace = x.length === y.length ? x.flatMap((c, i): [number, number][] => (c === y[i] ? [[i, i]] : [])) : [];
  return inPlace.length * 2 >= x.length && inPlace.length > 0 ? inPlace : subsequence(x, y);
}

const whole = (text: string, same: boolean): Piece[] => (text ? [{ text, same }] : []);

/** The places of a longest common subsequence. */
function subsequence(x: string[], y: string[]): [number, number][] {
  const width = y.length + 1;
  const length = new Uint16Array((x.length + 1) * width); // of the rest from i and j on
  for (let i = x.length - 1; i >= 0; i--) {
    for (let j = y.length - 1; j >= 0; j--) {
      length[i * width + j] = x[i] === y[j] ? length[(i + 1) * width + j + 1]! + 1 : Math.max(length[(i + 1) * width + j]!, length[i * width + j + 1]!);
    }
  }
  const places: [number, number][] = [];
  for (let i = 0, j = 0; i < x.length && j < y.length; ) {
    if (x[i] === y[j]) places.push([i++, j++]);
    else if (length[(i + 1) * width + j]! >= length[i * width + j + 1]!) i++;
    else j++;
  }
  return places;
}

function pieces(characters: string[], common: Set<number>): Piece[] {
  const list: Piece[] = [];
  characters.forEach((text, i) => {
    const same = common.has(i);
    const last = list.at(-1);
    if (last && last.same === same) last.text += text;
    else list.push({ text, same });
  });
  return list;
}
