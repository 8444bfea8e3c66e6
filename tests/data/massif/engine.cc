// What the samples beside this file were recorded of: a book that grows, strings that come and go, and a leak.
#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

template <typename T> struct Book {
    std::map<int, std::vector<T>> sides;
    __attribute__((noinline)) void add(int price, T quantity) { sides[price].push_back(quantity); }
};

__attribute__((noinline)) static void *remember(size_t bytes) { return malloc(bytes); }

__attribute__((noinline)) static size_t churn(int order) {
    std::string text(64 + order % 7, 'x');
    return text.size();
}

int main(int argc, char **argv) {
    int orders = argc > 1 ? atoi(argv[1]) : 20000;
    int pause_ms = argc > 2 ? atoi(argv[2]) : 0;
    auto *book = new Book<double>;
    size_t seen = 0;
    for (int order = 0; order < orders; order++) {
        book->add(order % 257, order);
        if (order % 100 == 0) {
            void *volatile lost = remember(5000);
            (void)lost;
        }
        seen += churn(order);
    }
    auto cleared = [](int kib) { free(calloc(kib, 1024)); };
    for (int kib = 1; kib < 300; kib++) cleared(kib);
    std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    delete book;
    return seen == 0;
}
