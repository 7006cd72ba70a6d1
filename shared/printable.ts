/**
 * Characters that a terminal obeys instead of showing them: C0 and C1 controls (ECMA-48; ESC starts colours, titles and OSC),
 * DEL, and those that turn the direction of text or end a line unseen (Unicode UAX #9; U+2028, U+2029). Line feed and tab stay.
 */
const obeyed = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * A text from outside (an API server, an agent, dcgmi, a name) as it may be shown on a terminal: what a terminal would obey
 * stands there as `\u001b`. Inside a string of JSON it is the same string to whoever parses it.
 */
export function printable(text: string): string {
  return text.replace(obeyed, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
