/**
 * A text in sentences, each with its closing marks; white space around them is left out. A full
 * stop, an exclamation or question mark ends one before white space, their wide forms anywhere.
 */
export function splitSentences(text: string): string[] {
  return text
    .split(/(?<=[.!?…]["'”’)]*)\s+|(?<=[。！？])|\n+/u)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '');
}
