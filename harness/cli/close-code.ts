/** How a WebSocket ended, in words (RFC 6455, section 7.4.1). */
const meanings: Readonly<Record<number, string>> = {
  1000: 'was closed: the conversation was over',
  1001: 'was closed: the other side goes away',
  1002: 'was closed: one side broke the rules of WebSockets',
  1003: 'was closed: a kind of data that is not taken',
  1005: 'was closed without a reason',
  1006: 'ended without a goodbye: the board connected anew or was switched off, a program ended, or the network was lost',
  1007: 'was closed: text that is none',
  1008: 'was closed: something that is not allowed',
  1009: 'was closed: a message that is too large',
  1011: 'was closed: an error on the other side',
};

export function closeText(connection: number, code: number): string {
  return `connection ${connection} ${meanings[code] ?? 'was closed'} (${code})`;
}
