/** An ffmpeg named by the user, `FFMPEG_PATH`, instead of the one installed with the package. */
export function ffmpegPath(): string | undefined {
  const { FFMPEG_PATH: path } = process.env;
  return path === '' ? undefined : path;
}
