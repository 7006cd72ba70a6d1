/**
 * Characters of which nobody sees what they are; the one list of all that we print, send and store for people to read:
 * - what a terminal obeys: C0 and C1 controls (ECMA-48; ESC starts colours, titles and OSC) and DEL;
 * - what turns the direction of text or ends a line (Unicode UAX #9; U+2028, U+2029);
 * - what has no width and makes one name look like another: soft hyphen, zero-width space and joiners, U+2060 to U+206F, the byte
 *   order mark, annotation marks, tags (U+E0000 to U+E007F);
 * - what XML 1.0 does not allow (section 2.2): U+FFFE, U+FFFF and halves of surrogate pairs.
 */
const hidden =
  // Without the flag u a half of a pair that stands alone could not be told from a whole one.
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

/**
 * A text from outside (an API server, an agent, dcgmi, a name) as it may be shown to people: hidden characters stand there as `\u001b`.
 * Line feed and tab stay. Inside a string of JSON it is the same string to whoever parses it.
 */
export function printable(text: string): string {
  return text.replace(hidden, (character) =>
    character === '\n' || character === '\t' ? character : escaped(character),
  );
}

/** The same on one line: line feed and tab are shown as well. */
export function visible(text: string): string {
  return text.replace(hidden, escaped);
}

/** Unit by unit, as JSON writes it. */
function escaped(character: string): string {
  return character
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('');
}
