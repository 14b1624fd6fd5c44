export interface FormPart {
  /** Of a file; absent for a field. */
  readonly filename?: string;
  readonly bytes: Buffer;
}

/**
 * The parts of a `multipart/form-data` body by name (RFC 7578); of a name that comes several times
 * the last. Undefined when it is none or when it is cut off.
 */
export function parseForm(contentType: string, body: Buffer): Map<string, FormPart> | undefined {
  const type = /^multipart\/form-data\s*;.*?\bboundary=(?:"([^"]+)"|([^\s;]+))/i.exec(contentType);
  const boundary = type?.[1] ?? type?.[2];
  if (boundary === undefined) return undefined;
  const parts = new Map<string, FormPart>();
  // The first delimiter may stand at the very beginning; every other one follows a line break.
  const text = Buffer.concat([Buffer.from('\r\n'), body]);
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  let at = text.indexOf(delimiter);
  while (at >= 0) {
    const start = at + delimiter.length;
    if (text.subarray(start, start + 2).toString() === '--') return parts;
    const headEnd = text.indexOf('\r\n\r\n', start);
    const next = headEnd < 0 ? -1 : text.indexOf(delimiter, headEnd + 2);
    if (next < 0) return undefined;
    const head = text.subarray(start, headEnd).toString();
    const name = parameter(head, 'name');
    const filename = parameter(head, 'filename');
    if (name === undefined) return undefined;
    const bytes = text.subarray(headEnd + 4, Math.max(next, headEnd + 4));
    parts.set(name, { ...(filename !== undefined && { filename }), bytes });
    at = next;
  }
  return undefined;
}

/** Of the header `Content-Disposition`. */
function parameter(head: string, name: string): string | undefined {
  const value = new RegExp(
    `^content-disposition:.*?;\\s*${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s;]+))`,
    'im',
  ).exec(head);
  return value?.[1] ?? value?.[2];
}
