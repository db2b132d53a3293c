/** Patterns of LIKE: `%` for any text, `_` for one character. */

/** Pieces between the `%`: characters, undefined for any one. */
type Piece = (string | undefined)[];

function piecesOf(pattern: string, escapeWith: string | undefined): Piece[] {
  const pieces: Piece[] = [[]];
  const characters = [...pattern];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? '';
    if (character === escapeWith) pieces.at(-1)?.push(characters[++at] ?? '');
    else if (character === '%') pieces.push([]);
    else pieces.at(-1)?.push(character === '_' ? undefined : character);
  }
  return pieces;
}

function isAt(text: readonly string[], at: number, piece: Piece): boolean {
  if (at < 0 || at + piece.length > text.length) return false;
  return piece.every((wanted, n) => wanted === undefined || wanted === text[at + n]);
}

/**
 * Each piece is looked for once, behind the one before: the first place is as good as any later one.
 * So no pattern takes longer than its length times that of the text.
 */
export function likeMatcher(
  pattern: string,
  escapeWith: string | undefined,
): (text: string) => boolean {
  const [first = [], ...rest] = piecesOf(pattern, escapeWith);
  const last = rest.pop();
  return (value) => {
    const text = [...value];
    if (!isAt(text, 0, first)) return false;
    if (!last) return text.length === first.length;
    let from = first.length;
    for (const piece of rest) {
      while (from + piece.length <= text.length && !isAt(text, from, piece)) from++;
      from += piece.length;
    }
    return from <= text.length - last.length && isAt(text, text.length - last.length, last);
  };
}
