/** The ports of a machine and its boards as a table. */
import picocolors from 'picocolors';
import type { RegisteredBoard } from '../serial/board-registry.ts';
import type { SerialPortInfo } from '../serial/port-list.ts';
import { neutralize } from './terminal-text.ts';
import { renderTable, type TableColumn } from './text-table.ts';

export interface ListedBoardPort extends SerialPortInfo {
  readonly mac?: string;
  /** Its name in the registry. */
  readonly board?: string;
  /** From a boot log. */
  readonly firmware?: string;
}

export interface ShownBoard extends RegisteredBoard {
  /** What its boot log showed, when it was asked. */
  readonly foundMac?: string;
  readonly firmware?: string;
}

export interface BoardListReport {
  readonly ports: readonly ListedBoardPort[];
  /** Registered boards that are at none of the ports. */
  readonly away: readonly ShownBoard[];
  readonly registry: string;
}

const columns: readonly TableColumn[] = [
  { head: ['', 'port'], align: 'left' },
  { head: ['', 'board'], align: 'left' },
  { head: ['', 'chip of the port'], align: 'left' },
  { head: ['', 'USB id'], align: 'left' },
  { head: ['USB serial', 'number'], align: 'left' },
  { head: ['MAC of', 'the board'], align: 'left' },
  { head: ['', 'firmware'], align: 'left' },
  { head: ['', 'held by'], align: 'left' },
];

export function renderBoardList(
  { ports, away, registry }: BoardListReport,
  { color, width }: { readonly color: boolean; readonly width: number },
): string {
  const colors = picocolors.createColors(color);
  const rows = ports.map((port) =>
    [
      port.path,
      port.board,
      port.chip.name,
      port.usb === undefined ? undefined : `${port.usb.vendorId}:${port.usb.productId}`,
      port.usb?.serialNumber,
      port.mac,
      port.firmware,
      port.holders.map(({ pid, command }) => `${command} (${pid})`).join(', ') || undefined,
    ].map((text) => ({ text: neutralize(text ?? '—') })),
  );
  const table =
    rows.length === 0
      ? ['This machine has no serial ports.']
      : renderTable(columns, rows, width, colors.bold);
  const others = away.map(({ name, address, mac, usbSerial, foundMac, firmware }) => {
    const known = address ?? (mac === undefined ? `USB serial number ${usbSerial}` : `MAC ${mac}`);
    const found = [
      ...(foundMac === undefined ? [] : [`MAC ${foundMac}`]),
      ...(firmware === undefined ? [] : [`firmware ${firmware}`]),
    ];
    const shown = [known, ...found].map(neutralize).join(', ');
    return `  ${neutralize(name)}: ${shown}`;
  });
  return [
    ...table,
    ...(others.length === 0 ? [] : ['', `Other boards in ${registry}:`, ...others]),
  ].join('\n');
}
