/**
 * What a recording keeps of one request to a provider: the bodies and messages in it, as the adapter saw them. The connections
 * under it, byte by byte, are in `wire-traffic.ts`. `recordings/README.md` describes the files, `provider/<n>.sent` and `.received`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface TrafficPiece {
  readonly atUs: number;
  readonly kind: 'http-body' | 'ws-text' | 'ws-binary';
  readonly data: Buffer;
}

/**
 * The pieces in their order. Of a recording that was cut short, what is there: a torn last line is dropped.
 *
 * @param folder of the recording
 * @returns null when nothing was recorded
 */
export function readRequestTraffic(
  folder: string,
  request: number,
  direction: 'sent' | 'received',
): TrafficPiece[] | null {
  const path = join(folder, 'provider', `${request}.${direction}`);
  if (!existsSync(path) || !existsSync(`${path}.jsonl`)) return null;
  const bytes = readFileSync(path);
  const lines = readFileSync(`${path}.jsonl`, 'utf8').split('\n');
  // What stands behind the last line break is nothing, or torn.
  lines.pop();
  return lines.map((line) => {
    const { atUs, kind, offset, bytes: length } = JSON.parse(line);
    return { atUs, kind, data: bytes.subarray(offset, offset + length) };
  });
}
