// From pixels to the model's input, and from its level maps to a score: the steps of docs/edge.md in plain Kotlin,
// without a library, so that they run on a computer as on a phone. Inspector.kt calls ONNX Runtime in between.

package uadx

import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.exp
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.pow
import kotlin.math.round // halves to the even

const val GRAIN = 4

class Level(val name: String, val low: Double, val high: Double, val weight: Double)

/** What manifest.json says. threshold: see conformalThreshold. */
class Model(
    val height: Int, val width: Int, val smoothing: Double, val topFraction: Double, val threshold: Double,
    val levels: List<Level>,
)

/** argb: 0xAARRGGBB, row after row, as Android's Bitmap.getPixels gives them; alpha is dropped. */
class Pixels(val argb: IntArray, val rows: Int, val columns: Int)

/** rgb: [height, width, 3], a byte each. shownHeight, shownWidth: the part, from the upper left, that is no fill. */
class Fitted(val rgb: ByteArray, val shownHeight: Int, val shownWidth: Int)

/** A matrix [rows, columns], row after row. */
class Matrix(val rows: Int, val columns: Int, val values: DoubleArray = DoubleArray(rows * columns)) {
    operator fun get(row: Int, column: Int) = values[row * columns + column]
    operator fun set(row: Int, column: Int, value: Double) { values[row * columns + column] = value }

    /** Zeros, of which an operator is full, are passed over. */
    operator fun times(other: Matrix): Matrix {
        val product = Matrix(rows, other.columns)
        for (row in 0 until rows) for (inner in 0 until columns) {
            val factor = this[row, inner]
            if (factor != 0.0) for (column in 0 until other.columns)
                product.values[row * other.columns + column] += factor * other[inner, column]
        }
        return product
    }

    fun transposed() = Matrix(columns, rows).also {
        for (row in 0 until rows) for (column in 0 until columns) it[column, row] = this[row, column]
    }
}

/** orientation: 1 to 8, as EXIF has it. */
fun upright(picture: Pixels, orientation: Int): Pixels {
    val turned = orientation >= 5
    val rows = if (turned) picture.columns else picture.rows
    val columns = if (turned) picture.rows else picture.columns
    val pixels = IntArray(rows * columns) { place ->
        val row = (place / columns).let { if (orientation in setOf(3, 4, 7, 8)) rows - 1 - it else it }
        val column = (place % columns).let { if (orientation in setOf(2, 3, 6, 7)) columns - 1 - it else it }
        if (turned) picture.argb[column * picture.columns + row] else picture.argb[row * picture.columns + column]
    }
    return Pixels(pixels, rows, columns)
}

fun letterboxed(picture: Pixels, model: Model): Fitted {
    val (rows, columns) = picture.rows to picture.columns
    val scale = min(model.height.toDouble() / rows, model.width.toDouble() / columns)
    fun side(length: Int, most: Int) = min(most, max(GRAIN, round(length * scale / GRAIN).toInt() * GRAIN))
    val high = side(rows, model.height)
    val wide = side(columns, model.width)
    val rgb = ByteArray(model.height * model.width * 3)
    for (channel in 0 until 3) {
        val plane = IntArray(rows * columns) { picture.argb[it] shr (16 - 8 * channel) and 0xFF }
        val (smallRows, smallColumns) = min(rows, high) to min(columns, wide)
        val fitted = grown(shrunk(plane, rows, columns, smallRows, smallColumns), smallRows, smallColumns, high, wide)
        for (row in 0 until model.height) for (column in 0 until model.width) {
            val place = mirrored(row, high) * wide + mirrored(column, wide)
            rgb[(row * model.width + column) * 3 + channel] = fitted[place].toByte()
        }
    }
    return Fitted(rgb, high, wide)
}

/** The shown ones, then back again, the last one twice, as often as it takes. */
fun mirrored(place: Int, shown: Int): Int = (place % (2 * shown)).let { min(it, 2 * shown - 1 - it) }

/** Each pixel the mean of the area that it covers; halves to the even, but up where both sides shrink twofold. */
fun shrunk(plane: IntArray, rows: Int, columns: Int, high: Int, wide: Int): IntArray {
    if (rows == high && columns == wide) return plane
    val narrow = DoubleArray(rows * wide)
    for (row in 0 until rows) for (cell in 0 until wide)
        narrow[row * wide + cell] = mean(columns, wide, cell) { plane[row * columns + it].toDouble() }
    val twofold = rows == 2 * high && columns == 2 * wide
    return IntArray(high * wide) { place ->
        val exact = mean(rows, high, place / wide) { narrow[it * wide + place % wide] }
        if (twofold) floor(exact + 0.5).toInt() else round(round(exact * 1e9) / 1e9).toInt()
    }
}

/** The mean over a cell of `target` cells across `size` values, each weighing as much of it as lies in the cell. */
inline fun mean(size: Int, target: Int, cell: Int, value: (Int) -> Double): Double {
    val start = cell.toDouble() * size / target
    val end = (cell + 1.0) * size / target
    var sum = 0.0
    for (at in start.toInt() until min(size, ceil(end).toInt()))
        sum += (min(end, at + 1.0) - max(start, at.toDouble())) * value(at)
    return sum / (end - start)
}

/** Bilinear, half-pixel centres, with whole 256ths as weights; halves up. */
fun grown(plane: IntArray, rows: Int, columns: Int, high: Int, wide: Int): IntArray {
    if (rows == high && columns == wide) return plane
    fun places(size: Int, target: Int) = DoubleArray(target) {
        (1 / (target.toDouble() / size) * (it + 0.5) - 0.5).coerceIn(0.0, size - 1.0)
    }
    val down = places(rows, high)
    val across = places(columns, wide)
    val result = IntArray(high * wide)
    for (row in 0 until high) for (column in 0 until wide) {
        val upper = down[row].toInt()
        val left = across[column].toInt()
        val lower = min(upper + 1, rows - 1)
        val right = min(left + 1, columns - 1)
        val second = round((across[column] - left) * 256).toInt()
        val under = round((down[row] - upper) * 256).toInt()
        val above = plane[upper * columns + left] * (256 - second) + plane[upper * columns + right] * second
        val below = plane[lower * columns + left] * (256 - second) + plane[lower * columns + right] * second
        result[row * wide + column] = above * (256 - under) + below * under + (1 shl 15) shr 16
    }
    return result
}

/** The weighted mean of the levels, each on its own scale, resized to level1's size and smoothed. */
fun anomalyMap(maps: Map<String, Matrix>, model: Model): Matrix {
    val first = maps.getValue("level1")
    val weights = model.levels.sumOf { it.weight }
    val total = Matrix(first.rows, first.columns)
    for (level in model.levels) {
        val map = maps.getValue(level.name)
        val values = DoubleArray(map.values.size) { (map.values[it] - level.low) / (level.high - level.low) }
        val rows = smoothing(first.rows, model.smoothing) * resizing(map.rows, first.rows)
        val columns = smoothing(first.columns, model.smoothing) * resizing(map.columns, first.columns)
        val share = rows * Matrix(map.rows, map.columns, values) * columns.transposed()
        for (place in total.values.indices) total.values[place] += level.weight / weights * share.values[place]
    }
    return total
}

/** [target, size]: bilinear, half-pixel centres. */
fun resizing(size: Int, target: Int) = Matrix(target, size).also {
    for (row in 0 until target) for (column in 0 until size) {
        val centre = ((row + 0.5) * size / target - 0.5).coerceIn(0.0, size - 1.0)
        it[row, column] = max(0.0, 1 - abs(centre - column))
    }
}

/** [size, size]: a Gaussian cut at four deviations, the edge's cells repeated. */
fun smoothing(size: Int, sigma: Double) = Matrix(size, size).also {
    val radius = ceil(4 * sigma).toInt()
    val kernel = (-radius..radius).map { offset -> if (sigma == 0.0) 1.0 else exp(-0.5 * (offset / sigma).pow(2)) }
    val total = kernel.sum()
    for (row in 0 until size) for (offset in -radius..radius)
        it[row, (row + offset).coerceIn(0, size - 1)] += kernel[offset + radius] / total
}

/** The mean of the map's highest values among the cells that show the picture, wholly or partly. */
fun score(map: Matrix, fitted: Fitted, model: Model): Double {
    val high = ceil(fitted.shownHeight.toDouble() * map.rows / model.height).toInt()
    val wide = ceil(fitted.shownWidth.toDouble() * map.columns / model.width).toInt()
    val cells = (0 until high).flatMap { row -> (0 until wide).map { column -> map[row, column] } }
    val count = max(1, round(model.topFraction * cells.size).toInt())
    return cells.sortedDescending().take(count).average()
}

/** scores: calibration.quantile, in ascending order as they stand there. A score above it is NG. */
fun conformalThreshold(scores: List<Double>, rate: Double): Double {
    val rank = ceil((scores.size + 1) * (1 - rate) - 1e-9).toInt()
    require(rank <= scores.size) { "${scores.size} calibration images do not certify a false-alarm rate of $rate" }
    return scores[max(rank, 1) - 1]
}
