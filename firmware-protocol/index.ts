/** The contract between an EchoKit server and a board: messages, audio sizes, addresses. */
export * from './audio-format.ts';
export * from './client-command.ts';
export * from './connect-url.ts';
export { ProtocolError, type ProtocolErrorCode } from './protocol-error.ts';
export {
  decodeServerEvent,
  encodeServerEvent,
  type ServerEvent,
  type ServerEventDialect,
  type ServerEventForm,
  type ServerEventResult,
  type ServerEventType,
} from './server-event.ts';
