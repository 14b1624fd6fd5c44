/** What `--output` can make; for the help, which loads nothing else. */
export const outputKinds = ['json', 'junit', 'ctrf', 'markdown', 'csv', 'trace', 'github'] as const;
export type OutputKind = (typeof outputKinds)[number];
