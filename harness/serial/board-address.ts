import type { Endpoint } from '../network/network.ts';
import { SerialError } from './serial-error.ts';

/** Where a board is, as users write it. */
export type BoardAddress =
  | { readonly kind: 'local'; readonly path: string }
  | { readonly kind: 'rfc2217' | 'socket'; readonly endpoint: Endpoint };

/** @throws {SerialError} `SERIAL_ADDRESS` */
export function parseBoardAddress(text: string): BoardAddress {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) {
    if (text.trim() === '') throw problem(text, 'it is empty');
    return { kind: 'local', path: text };
  }
  if (scheme !== 'rfc2217' && scheme !== 'socket')
    throw problem(text, `"${scheme}" is no kind of port`);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === '' || url.port === '' || url.port === '0') {
    throw problem(text, 'host and port are needed');
  }
  if (!/^\/?$/.test(url.pathname) || url.search !== '' || url.hash !== '' || url.username !== '') {
    throw problem(text, 'there is more than host and port');
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { kind: scheme, endpoint: { host, port: Number(url.port) } };
}

function problem(text: string, words: string): SerialError {
  return new SerialError(
    'SERIAL_ADDRESS',
    `"${text}" is no address of a board: ${words}.`,
    'Write a local port (/dev/ttyUSB0, COM3), rfc2217://host:port or socket://host:port.',
  );
}
