/** The contract between an EchoKit server and a board: messages, audio sizes, addresses, console. */
export * from './audio-format.ts';
export * from './client-command.ts';
export * from './connect-url.ts';
export {
  type ConsoleForm,
  type ConsoleLevel,
  consoleForms,
  resetReasons,
} from './console-forms.ts';
export {
  type ConsoleEvent,
  type ConsoleEventName,
  type ConsoleLine,
  ConsoleLineReader,
  parseConsoleLine,
} from './console-line.ts';
export { type ByteCounts, ConsoleLineSplitter, type SplitLine } from './console-splitter.ts';
export { isWholeMessagePack } from './msgpack.ts';
export { ProtocolError, type ProtocolErrorCode } from './protocol-error.ts';
export * from './serial-link/index.ts';
export {
  decodeServerEvent,
  encodeServerEvent,
  type ServerEvent,
  type ServerEventDialect,
  type ServerEventForm,
  type ServerEventResult,
  type ServerEventType,
} from './server-event.ts';
