// Known allocations for heaptrack: temporary ones, a peak, a leak, and one leak that a suppression names.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

extern "C" const char* __lsan_default_suppressions() { return "leak:known_leak\n"; }

#define NOINLINE __attribute__((noinline))

NOINLINE char* keep(std::size_t size) { return new char[size]; }

NOINLINE void temporary(int times) {
    for (int i = 0; i < times; ++i) {
        char* buffer = static_cast<char*>(std::malloc(100));
        buffer[0] = static_cast<char>(i);
        std::free(buffer);
    }
}

// Freed right after an allocation of the same place and size, but another block: no temporary allocation.
NOINLINE void alternating(int times) {
    char* held = keep(64);
    for (int i = 0; i < times; ++i) {
        char* next = keep(64);
        delete[] held;
        held = next;
    }
    delete[] held;
}

NOINLINE void peak() {
    std::vector<std::unique_ptr<char[]>> blocks;
    for (int i = 0; i < 50; ++i) blocks.emplace_back(new char[10000]);
}

NOINLINE void leak() { std::memset(keep(5000), 1, 5000); }
NOINLINE void known_leak() { std::memset(keep(3000), 1, 3000); }

static inline __attribute__((always_inline)) char* inlined(std::size_t size) { return keep(size); }

int main() {
    temporary(1000);
    alternating(500);
    std::thread other([] { temporary(200); });
    other.join();
    peak();
    leak();
    known_leak();
    delete[] inlined(77);
    return 0;
}
