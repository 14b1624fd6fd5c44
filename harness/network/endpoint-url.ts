import type { Endpoint } from './network.ts';

/** The endpoint that a URL of HTTP or a WebSocket points to, with the port of its scheme. */
export function endpointOfUrl(url: URL): Endpoint {
  const secure = url.protocol === 'https:' || url.protocol === 'wss:';
  return {
    // Brackets belong to the notation of an address of IPv6, not to the address.
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
  };
}

/** Whether the host is this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
