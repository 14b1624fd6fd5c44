declare module '@echogarden/fvad-wasm' {
  /** The Emscripten module of the package, as far as it is used here. Pointers are byte offsets. */
  export interface FvadModule {
    /** Replaced when the memory grows: read it again before each use. */
    readonly HEAP16: Int16Array;
    _malloc(bytes: number): number;
    _fvad_new(): number;
    _fvad_free(instance: number): void;
    /** Clears the state and sets mode and sample rate back to their defaults. */
    _fvad_reset(instance: number): void;
    _fvad_set_mode(instance: number, mode: number): number;
    _fvad_set_sample_rate(instance: number, rateHz: number): number;
    /** 1 voice, 0 none, −1 when the frame length does not fit the rate. */
    _fvad_process(instance: number, frame: number, samples: number): number;
  }
  const load: () => Promise<FvadModule>;
  // biome-ignore lint/style/noDefaultExport: this is how the package exports it
  export default load;
}
